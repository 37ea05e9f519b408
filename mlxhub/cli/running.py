"""Bring processes up and down from the command line, also where no controller is there to ask."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable

from mlxhub.cli.local_hub import LocalHub, controller_url
from mlxhub.clients.hub import HubClient
from mlxhub.clients.worker import WorkerClient
from mlxhub.errors import ControllerDown, MlxhubError
from mlxhub.fleet.hub import HubModel
from mlxhub.fleet.processes import start_process, stop_process
from mlxhub.launchd.contract import Launchd
from mlxhub.protocol.hub import ActionResult

CONTROLLER_SECONDS = 30.0
_ASK_EVERY_SECONDS = 0.1


def controller_runs(local: LocalHub) -> None:
    """Return when the controller answers. Raises ControllerDown with its log."""
    deadline = time.monotonic() + CONTROLLER_SECONDS
    with HubClient(controller_url(local.config)) as client:
        while True:
            try:
                client.status()
            except ControllerDown:
                if time.monotonic() >= deadline:
                    raise MlxhubError(
                        f"The controller did not answer within {CONTROLLER_SECONDS:g} s. "
                        f"Its log: {local.paths.log('controller')}"
                    ) from None
                time.sleep(_ASK_EVERY_SECONDS)
            else:
                return


async def workers_run(models: Iterable[HubModel], launchd: Launchd) -> list[ActionResult]:
    """Start what does not run; done when each answers on its port or has failed."""

    async def run(model: HubModel) -> str:
        client = WorkerClient(model.name, model.port)
        try:
            await start_process(model, launchd=launchd, ask=client.status)
        finally:
            client.close()
        return f'Model "{model.name}" runs at http://127.0.0.1:{model.port}/v1'

    return await _each(models, run)


async def workers_stop(models: Iterable[HubModel], launchd: Launchd) -> list[ActionResult]:
    async def stop(model: HubModel) -> str:
        stopped = await stop_process(model, launchd=launchd)
        return f'Model "{model.name}" is stopped.' if stopped else f'Model "{model.name}" was not running.'

    return await _each(models, stop)


async def _each(models: Iterable[HubModel], act: Callable[[HubModel], Awaitable[str]]) -> list[ActionResult]:
    async def one(model: HubModel) -> ActionResult:
        try:
            return ActionResult(name=model.name, ok=True, message=await act(model))
        except MlxhubError as error:
            return ActionResult(name=model.name, ok=False, message=str(error))

    return list(await asyncio.gather(*(one(model) for model in models)))
