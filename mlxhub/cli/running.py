"""Bring processes up and down from the command line, also where no controller is there to ask."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable

from mlxhub.cli.local_hub import LocalHub, controller_url
from mlxhub.clients.hub import HubClient
from mlxhub.clients.remote_error import RemoteError
from mlxhub.clients.worker import WorkerClient
from mlxhub.core.lifecycle import ProcessState
from mlxhub.errors import ControllerDown, MlxhubError, PortHeld
from mlxhub.files.ports import port_holder
from mlxhub.fleet.hub import HubModel
from mlxhub.fleet.processes import start_process, stop_process
from mlxhub.launchd.contract import Launchd
from mlxhub.protocol.hub import ActionResult

CONTROLLER_SECONDS = 30.0
_ASK_EVERY_SECONDS = 0.1
_ENDED = (ProcessState.THROTTLED, ProcessState.STOPPED, ProcessState.FAILED, ProcessState.NOT_INSTALLED)


def controller_runs(local: LocalHub, launchd: Launchd) -> None:
    """Return when the controller that launchd runs answers. Raises MlxhubError that says why it does not."""
    deadline = time.monotonic() + CONTROLLER_SECONDS
    with HubClient(controller_url(local.config)) as client:
        while True:
            agent = launchd.inspect(local.hub.controller_label)
            if agent.process in _ENDED:
                raise _controller_fault(local, f"ended ({agent.last_exit or 'launchd does not say how'})")
            with contextlib.suppress(ControllerDown, RemoteError):
                if client.status().controller.pid == agent.pid:
                    return
            if time.monotonic() >= deadline:
                raise _controller_fault(local, f"did not answer within {CONTROLLER_SECONDS:g} s")
            time.sleep(_ASK_EVERY_SECONDS)


def _controller_fault(local: LocalHub, what: str) -> MlxhubError:
    holder = port_holder(local.config.port)
    if holder is not None:
        return PortHeld(local.config.port, holder.pid, holder.command)
    return MlxhubError(f"The controller {what}. Its log: {local.paths.log('controller')}")


async def workers_run(models: Iterable[HubModel], launchd: Launchd) -> list[ActionResult]:
    """Start what does not run; done when each answers on its port or has failed."""

    async def run(model: HubModel) -> str:
        client = WorkerClient(model.name, model.port)
        try:
            await start_process(model, launchd=launchd, ask=client.status, holder_of=port_holder)
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
