"""`mlxhub status`: asked of the controller, or found out without it."""

import asyncio
import contextlib
import time
from pathlib import Path

import click
import psutil

from mlxhub.cli.flash import Tone, flash
from mlxhub.cli.local_hub import LocalHub, find_machine, launchd_of, open_hub_in_force
from mlxhub.cli.running import revive_controller
from mlxhub.cli.tables import limits_lines, models_table, print_table
from mlxhub.clients.hub import HubClient
from mlxhub.clients.upstream import Trust
from mlxhub.clients.worker import WorkerClient
from mlxhub.core.lifecycle import ProcessState
from mlxhub.core.observed import AgentState
from mlxhub.core.restarts import CONTROLLER
from mlxhub.errors import ControllerDown, LaunchdError, PortHeld
from mlxhub.files.manifest import installed_agents
from mlxhub.files.ports import port_holder
from mlxhub.files.runs import parked_reason
from mlxhub.fleet.facts import ModelFacts
from mlxhub.fleet.holdings import look_at_holdings
from mlxhub.fleet.hub import HubModel
from mlxhub.fleet.observation import look
from mlxhub.fleet.status import Clocks, hub_status
from mlxhub.launchd.contract import Launchd
from mlxhub.protocol.errors import RemoteError
from mlxhub.protocol.hub import ControllerView, HubStatus


@click.command()
@click.argument("models", metavar="[MODEL]...", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def status(file: Path | None, models: tuple[str, ...], as_json: bool) -> None:
    """Show the controller and every model (or these): process, memory, port, uptime, last exit."""
    machine = find_machine(file)
    local = open_hub_in_force(machine)
    seen = _status(local, launchd_of(machine))
    more = [*local.faults, *local.warnings, *_unapplied(local)]
    seen.warnings.extend(warning for warning in more if warning not in seen.warnings)
    chosen = [local.hub.find(model).name for model in models]
    if chosen:
        seen = seen.model_copy(update={"models": [view for view in seen.models if view.name in chosen]})
    if as_json:
        click.echo(seen.model_dump_json(indent=2))
        return
    _show(seen, local.controller.url)


def _status(local: LocalHub, launchd: Launchd) -> HubStatus:
    """Of our controller, which answers at once; else of launchd and of every worker."""
    if (answer := _controllers_answer(local)) is not None:
        return answer
    launchd.require_session()
    try:
        if revive_controller(local.paths, local.config, launchd):
            flash(
                Tone.INFO, "launchd did not start the controller again; it was started now.", to_stderr=True
            )
    except LaunchdError as error:
        flash(Tone.WARN, str(error))
    return asyncio.run(_found_out(local, launchd, launchd.inspect(local.hub.controller_label)))


def _controllers_answer(local: LocalHub) -> HubStatus | None:
    with contextlib.suppress(ControllerDown, RemoteError):
        answer = HubClient(local.controller).status()
        return answer if _is_ours(answer.controller, local) else None
    return None


def _is_ours(controller: ControllerView, local: LocalHub) -> bool:
    """A controller of another hub may sit on the port. launchd is not asked: it may be what is slow."""
    if controller.pid is None or controller.label != local.hub.controller_label:
        return False
    try:
        return str(local.paths.config) in psutil.Process(controller.pid).cmdline()
    except psutil.Error:
        return False


def _unapplied(local: LocalHub) -> list[str]:
    """What runs is not what hub.yaml says, in ways that only an install changes."""
    strays = [label for label in installed_agents(local.paths) if label not in local.agents]
    if not strays:
        return []
    return [f"Installed, but no longer in hub.yaml: {', '.join(strays)}. Apply that with: mlxhub install"]


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


def _show(seen: HubStatus, url: str) -> None:
    controller = seen.controller
    pid = f", pid {controller.pid}" if controller.pid else ""
    click.echo(f"controller  {controller.process}  {url}{pid}")
    if seen.models:
        print_table(models_table(seen.models))
    for line in limits_lines(seen):
        click.echo(line)
    for warning in seen.warnings:
        flash(Tone.WARN, warning)
    if controller.error:
        flash(Tone.ERROR, controller.error)
    elif controller.process is not ProcessState.RUNNING:
        flash(Tone.WARN, "The controller does not run; models do not need it. Start it with: mlxhub start")
    for view in seen.models:
        if view.error:
            flash(Tone.ERROR, f"{view.name}: {view.error}")


COMMANDS = {"status": status}
