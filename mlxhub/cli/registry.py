"""`mlxhub models`: what lies on this machine's disks, and how it gets into hub.yaml."""

from pathlib import Path

import click
import psutil
from rich.table import Table

from mlxhub.cli.flash import Tone, flash
from mlxhub.cli.local_hub import find_machine
from mlxhub.cli.tables import print_table
from mlxhub.core.limits import make_limits
from mlxhub.errors import size_text
from mlxhub.files.hub_yaml import read_hub_yaml
from mlxhub.fleet.catalogue import disable_model, discovered_models, enable_model, parameters_text
from mlxhub.protocol.registry import DiscoveredModel

_COLUMNS = ("MODEL", "FAMILY", "SIZE", "BITS", "CONTEXT", "ON DISK", "MEMORY", "TIER", "IN HUB.YAML AS")
_RIGHT = ("SIZE", "CONTEXT", "ON DISK", "MEMORY")


@click.group("models")
def models() -> None:
    """Models on this machine's disks: find them, and put them into hub.yaml or take them out."""


@models.command("discover")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def discover(file: Path | None, as_json: bool) -> None:
    """List the models in the Hugging Face cache and in the directories of `discovery.paths`."""
    machine = find_machine(file)
    config = read_hub_yaml(machine.paths.config)
    limit = make_limits(config, int(psutil.virtual_memory().total)).memory_bytes
    found = discovered_models(machine, config, limit)
    if as_json:
        click.echo(found.model_dump_json(indent=2))
        return
    if found.models:
        print_table(_table(found.models))
    else:
        flash(Tone.INFO, "There are none. Download one, for example: hf download mlx-community/Qwen3-4B-4bit")
    for model in found.models:
        if model.fault is not None:
            flash(Tone.WARN, f"{model.model_path}: {model.fault}")
        elif model.fits is False:
            flash(Tone.WARN, f"{model.model_path} needs more memory than all models may take together.")
    if not found.complete:
        flash(Tone.WARN, "Not every directory could be looked at in time. Is a disk gone?")


@models.command("enable")
@click.argument("model")
@click.option("--name", help="Its name in the hub; else as its repository is called.")
@click.pass_obj
def enable(file: Path | None, model: str, name: str | None) -> None:
    """Write an entry for MODEL, a repo id or directory, into hub.yaml; or put a disabled one back."""
    enabled = enable_model(find_machine(file), model, name)
    what = "is back in hub.yaml" if enabled.again else "is in hub.yaml now"
    flash(Tone.OK, f'Model "{enabled.name}" {what}. Start it with: mlxhub apply')


@models.command("disable")
@click.argument("name")
@click.pass_obj
def disable(file: Path | None, name: str) -> None:
    """Make the entry of a model in hub.yaml a comment."""
    disable_model(find_machine(file), name)
    flash(Tone.OK, f'Model "{name}" is a comment in hub.yaml now. Stop it with: mlxhub apply')


def _table(found: list[DiscoveredModel]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in _COLUMNS:
        table.add_column(column, no_wrap=True, justify="right" if column in _RIGHT else "left")
    for model in found:
        known = [
            model.family or "-",
            "-" if model.parameters is None else parameters_text(model.parameters),
            model.quantisation or "-",
            "-" if model.context_length is None else str(model.context_length),
            size_text(model.size_bytes) if model.size_bytes else "-",
            "-" if model.needed_bytes is None else size_text(model.needed_bytes),
            model.tier or "-",
        ]
        table.add_row(model.model_path, *known, ", ".join(model.models) or "-")
    return table


COMMANDS = {"models": models}
