"""`mlxhub status`: asked of the controller, or found out without it."""

import contextlib
from pathlib import Path

import click
import psutil

from mlxhub.cli.completion import complete_model
from mlxhub.cli.flash import Tone, flash
from mlxhub.cli.local_hub import LocalHub, find_machine, launchd_of, open_hub_in_force
from mlxhub.cli.sheet import print_sheet
from mlxhub.cli.tables import limits_lines, models_sheet
from mlxhub.clients.hub import HubClient
from mlxhub.core.lifecycle import ProcessState
from mlxhub.errors import ControllerDown
from mlxhub.files.imports import collector_at_rest
from mlxhub.files.manifest import installed_agents
from mlxhub.launchd.contract import Launchd
from mlxhub.protocol.errors import RemoteError
from mlxhub.protocol.hub import ControllerView, HubStatus


@click.command()
@click.argument("models", metavar="[MODEL]...", nargs=-1, shell_complete=complete_model)
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
    # Most of the command's imports are for this.
    with collector_at_rest():
        from mlxhub.cli.found_status import find_status  # noqa: PLC0415 - as said above
    return find_status(local, launchd)


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


def _show(seen: HubStatus, url: str) -> None:
    controller = seen.controller
    pid = f", pid {controller.pid}" if controller.pid else ""
    click.echo(f"controller  {controller.process}  {url}{pid}")
    if seen.models:
        print_sheet(models_sheet(seen.models))
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
