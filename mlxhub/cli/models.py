"""`mlxhub start-model`, `stop-model`, `restart-model`, `load-model`, `unload-model`."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click

from mlxhub.cli.completion import complete_model
from mlxhub.cli.local_hub import find_machine
from mlxhub.cli.results import show_results
from mlxhub.cli.running import reach_controller
from mlxhub.clients.hub import HubClient
from mlxhub.errors import ControllerDown, MlxhubError
from mlxhub.files.hub_yaml import read_hub_yaml
from mlxhub.protocol.hub import ActionResult, ModelAction

_MOST_AT_ONCE = 16


def act_on_models(file: Path | None, names: tuple[str, ...], action: ModelAction, *, as_json: bool) -> None:
    """All at once, through the controller. Raises ControllerDown if there is none."""
    machine = find_machine(file)
    address = reach_controller(machine, read_hub_yaml(machine.paths.config))

    def act(name: str) -> ActionResult:
        try:
            return HubClient(address).model_action(name, action)
        except ControllerDown:
            raise
        except MlxhubError as error:
            return ActionResult(name=name, ok=False, message=str(error))

    with ThreadPoolExecutor(min(len(names), _MOST_AT_ONCE)) as threads:
        show_results(list(threads.map(act, names)), as_json=as_json)


def _command(action: ModelAction, line: str) -> click.Command:
    @click.command(f"{action}-model", help=line)
    @click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=complete_model)
    @click.option("--json", "as_json", is_flag=True, help="Print JSON.")
    @click.pass_obj
    def command(file: Path | None, names: tuple[str, ...], as_json: bool) -> None:
        act_on_models(file, names, action, as_json=as_json)

    return command


COMMANDS = {
    "start-model": _command("start", "Start the processes of these models."),
    "stop-model": _command("stop", "Stop the processes of these models; running answers are finished first."),
    "restart-model": _command("restart", "Stop and start the processes of these models."),
    "load-model": _command("load", "Bring these models into memory; done when they are."),
    "unload-model": _command("unload", "Take these models out of memory; their processes stay."),
}
