"""`mlxhub events`: what happened in a hub, and what happens."""

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import click

from mlxhub.cli.completion import complete_model
from mlxhub.cli.flash import Tone, flash, toned
from mlxhub.cli.local_hub import find_machine
from mlxhub.cli.nobody_reads import until_nobody_reads
from mlxhub.cli.running import reach_controller
from mlxhub.clients.hub import HubAddress, HubClient
from mlxhub.core.lifecycle import ModelState, ProcessState
from mlxhub.core.plain_text import harmless
from mlxhub.errors import ControllerDown
from mlxhub.files.hub_yaml import read_hub_yaml
from mlxhub.fleet.happenings import LOAD_FAILED
from mlxhub.protocol.hub import EVENTS_MISSED, HubEvent, OperationState

_TRY_AGAIN_SECONDS = 1.0
_TONES = {
    f"model.{ProcessState.RUNNING}": Tone.OK,
    f"model.{ProcessState.FAILED}": Tone.ERROR,
    f"model.{ProcessState.THROTTLED}": Tone.WARN,
    f"model.{ProcessState.UNKNOWN}": Tone.WARN,
    f"model.{ModelState.READY}": Tone.OK,
    LOAD_FAILED: Tone.ERROR,
    f"operation.{OperationState.DONE}": Tone.OK,
    f"operation.{OperationState.FAILED}": Tone.ERROR,
    EVENTS_MISSED: Tone.WARN,
}


@click.command()
@click.argument("models", metavar="[MODEL]...", nargs=-1, shell_complete=complete_model)
@click.option("-f", "--follow", is_flag=True, help="Go on as they come, until ctrl-c.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, an event a line.")
@click.pass_obj
def events(file: Path | None, models: tuple[str, ...], follow: bool, as_json: bool) -> None:
    """Show what happened (to MODEL) since the controller began: each change of a process or of memory."""
    machine = find_machine(file)
    config = read_hub_yaml(machine.paths.config)
    address = reach_controller(machine, config)
    known = {model_id: model.name for model in config.models for model_id in model.ids}
    chosen = {known.get(model, model) for model in models}
    with until_nobody_reads():
        for event in _followed(address) if follow else _known(address):
            if not chosen or event.model in chosen or event.kind == EVENTS_MISSED:
                _show(event, as_json=as_json)


def _known(address: HubAddress) -> Iterator[HubEvent]:
    yield from HubClient(address).events(None, follow=False)


def _followed(address: HubAddress, pause: Callable[[float], None] = time.sleep) -> Iterator[HubEvent]:
    """Across restarts of the controller: until whoever follows has enough."""
    after: str | None = None
    is_gone = False
    while True:
        with contextlib.suppress(ControllerDown):
            for event in HubClient(address).events(after, follow=True):
                is_gone, after = False, event.id
                yield event
        if not is_gone:
            flash(Tone.WARN, "The controller is gone; its models serve on. Waiting for it to come back.")
            is_gone = True
        pause(_TRY_AGAIN_SECONDS)


def _show(event: HubEvent, *, as_json: bool) -> None:
    if as_json:
        click.echo(event.model_dump_json())
        return
    moment = datetime.fromtimestamp(event.at).astimezone().strftime("%H:%M:%S")
    mark = click.style(moment, dim=True)
    click.echo(toned(_TONES.get(event.kind, Tone.INFO), f"{mark} {harmless(event.message)}"))


COMMANDS = {"events": events}
