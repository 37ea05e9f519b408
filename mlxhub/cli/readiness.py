"""Waiting until a process that was just started is ready, and sure to be ours."""

import asyncio
from collections.abc import Callable

from mlxhub.clients.upstream import Trust
from mlxhub.clients.worker import WorkerClient
from mlxhub.core.restarts import logs_command
from mlxhub.errors import WorkerSilent
from mlxhub.files.ports import port_holder
from mlxhub.fleet.hub import Hub, HubModel
from mlxhub.fleet.processes import START_SECONDS, start_process
from mlxhub.launchd.carry_out import AwaitReady
from mlxhub.launchd.contract import Launchd

_ASK_EVERY_SECONDS = 0.05


def await_ready_of(hub: Hub, launchd: Launchd, trust: Trust, controller: Callable[[], None]) -> AwaitReady:
    """`controller` returns when the controller is ready. What waits may raise any MlxhubError."""
    models = {model.label: model for model in hub.models.values()}

    def await_ready(label: str) -> None:
        if label == hub.controller_label:
            controller()
        else:
            asyncio.run(_worker_is_ready(models[label], launchd, trust))

    return await_ready


async def _worker_is_ready(model: HubModel, launchd: Launchd, trust: Trust) -> None:
    """It answers with the pid that launchd reports, and says that it can serve."""
    client = WorkerClient(model.name, model.port, trust)
    try:
        await start_process(model, launchd=launchd, ask=client.status, holder_of=port_holder, enable=False)
        async with asyncio.timeout(START_SECONDS):
            while not await client.is_ready():  # noqa: ASYNC110  it is another process's fact
                await asyncio.sleep(_ASK_EVERY_SECONDS)
    except TimeoutError:
        reason = f"it was not ready within {START_SECONDS:g} s of its start. See: {logs_command(model.name)}"
        raise WorkerSilent(model.name, reason) from None
    finally:
        client.close()
