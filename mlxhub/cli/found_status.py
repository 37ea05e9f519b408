"""The hub's status found out without its controller: of launchd, and of every worker."""

import asyncio
import time

from mlxhub.cli.flash import Tone, flash
from mlxhub.cli.local_hub import LocalHub
from mlxhub.cli.running import revive_controller
from mlxhub.clients.upstream import Trust
from mlxhub.clients.worker import WorkerClient
from mlxhub.core.lifecycle import ProcessState
from mlxhub.core.observed import AgentState
from mlxhub.core.restarts import CONTROLLER
from mlxhub.errors import LaunchdError, PortHeld
from mlxhub.files.ports import port_holder
from mlxhub.files.runs import parked_reason
from mlxhub.fleet.facts import ModelFacts
from mlxhub.fleet.holdings import look_at_holdings
from mlxhub.fleet.hub import HubModel
from mlxhub.fleet.observation import look
from mlxhub.fleet.status import Clocks, hub_status
from mlxhub.launchd.contract import Launchd
from mlxhub.protocol.hub import ControllerView, HubStatus


def find_status(local: LocalHub, launchd: Launchd) -> HubStatus:
    """A controller that should run, and that launchd does not start, is started first. Raises NoSession."""
    launchd.require_session()
    try:
        if revive_controller(local.paths, local.config, launchd):
            flash(
                Tone.INFO, "launchd did not start the controller again; it was started now.", to_stderr=True
            )
    except LaunchdError as error:
        flash(Tone.WARN, str(error))
    return asyncio.run(_found_out(local, launchd, launchd.inspect(local.hub.controller_label)))


async def _found_out(local: LocalHub, launchd: Launchd, agent: AgentState) -> HubStatus:
    models = list(local.hub.models.values())
    facts = await asyncio.gather(*(_look(model, launchd, local.trust) for model in models))
    now = Clocks(monotonic=time.monotonic(), unix=time.time())
    seen = {model.name: found for model, found in zip(models, facts, strict=True)}
    holdings = await asyncio.to_thread(look_at_holdings, local.paths)
    return hub_status(local.hub, seen, _controller_view(local, agent), now, holdings)


async def _look(model: HubModel, launchd: Launchd, trust: Trust) -> ModelFacts:
    client = WorkerClient(model.name, model.port, trust)
    try:
        return await look(model, None, launchd=launchd, ask=client.status, holder_of=port_holder)
    finally:
        client.close()


def _controller_view(local: LocalHub, agent: AgentState) -> ControllerView:
    """Of a controller that did not answer: running, for launchd, then means starting."""
    config = local.config
    holder = port_holder(config.port)
    stranger = holder is not None and (agent.pid is None or holder.pid not in (agent.pid, None))
    held = str(PortHeld(config.port, holder.pid, holder.command)) if holder and stranger else None
    parked = None if agent.pid is not None else parked_reason(local.paths.run_files(CONTROLLER))
    return ControllerView(
        process=_silent_process(agent, parked),
        pid=agent.pid,
        host=config.host,
        port=config.port,
        label=local.hub.controller_label,
        last_exit=agent.last_exit,
        error=parked or held,
    )


def _silent_process(agent: AgentState, parked: str | None) -> ProcessState:
    if agent.process is ProcessState.RUNNING:
        return ProcessState.STARTING
    return ProcessState.FAILED if agent.loaded and parked is not None else agent.process
