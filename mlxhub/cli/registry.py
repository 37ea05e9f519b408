"""`mlxhub models`: what lies on this machine's disks, and how it gets into hub.yaml."""

from pathlib import Path

import click
import psutil

from mlxhub.cli.completion import complete_model
from mlxhub.cli.flash import Tone, flash
from mlxhub.cli.local_hub import find_machine, open_hub
from mlxhub.cli.pull import pull, rm
from mlxhub.cli.sheet import Column, Sheet, print_sheet
from mlxhub.core.described import TYPES, Kind
from mlxhub.core.limits import make_limits
from mlxhub.errors import size_text
from mlxhub.files.hub_yaml import read_hub_yaml
from mlxhub.fleet.catalogue import disable_model, discovered_models, enable_model, parameters_text
from mlxhub.fleet.hub import HubModel
from mlxhub.protocol.registry import DiscoveredList, DiscoveredModel, OwnModel, OwnModels

_COLUMNS = (
    Column("MODEL"),
    Column("FAMILY", spared=4),
    Column("SIZE", right=True, spared=2),
    Column("BITS", spared=5),
    Column("CONTEXT", right=True, spared=3),
    Column("MEMORY", right=True),
    Column("ON DISK", right=True, spared=6),
    Column("TIER", spared=7),
    Column("IN HUB.YAML AS", spared=1),
)
_OWN_COLUMNS = (
    Column("NAME"),
    Column("TYPE", spared=3),
    Column("PORT", right=True),
    Column("SIZE", right=True, spared=2),
    Column("BITS", spared=5),
    Column("CONTEXT", right=True, spared=4),
    Column("MEMORY", right=True),
    Column("MODEL", spared=1),
    Column("ALIASES", spared=6),
)


@click.group("models", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def models(ctx: click.Context, as_json: bool) -> None:
    """Show the models of hub.yaml; or find others on this machine's disks, and put them there."""
    if ctx.invoked_subcommand is not None:
        return
    machine = find_machine(ctx.obj)
    local = open_hub(machine)
    found = discovered_models(machine, local.config, local.limits.memory_bytes)
    own = OwnModels(models=[_own(model, found) for model in local.hub.models.values()])
    if as_json:
        click.echo(own.model_dump_json(indent=2))
    elif own.models:
        print_sheet(_own_sheet(own.models))
    else:
        flash(Tone.INFO, "hub.yaml names none. See what is on disk with: mlxhub models discover")


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
        print_sheet(_sheet(found.models))
    else:
        flash(
            Tone.INFO,
            "There are none. Download one, for example: mlxhub models pull mlx-community/Qwen3-4B-4bit",
        )
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
@click.argument("name", shell_complete=complete_model)
@click.pass_obj
def disable(file: Path | None, name: str) -> None:
    """Make the entry of a model in hub.yaml a comment."""
    disable_model(find_machine(file), name)
    flash(Tone.OK, f'Model "{name}" is a comment in hub.yaml now. Stop it with: mlxhub apply')


def _sheet(found: list[DiscoveredModel]) -> Sheet:
    return Sheet(
        _COLUMNS,
        [
            (
                model.model_path,
                model.family or "-",
                *_facts(model),
                size_text(model.size_bytes) if model.size_bytes else "-",
                model.tier or "-",
                ", ".join(model.models) or "-",
            )
            for model in found
        ],
    )


def _own(model: HubModel, found: DiscoveredList) -> OwnModel:
    config = model.config
    there = next((each for each in found.models if model.name in each.models), None)
    inferred = None if there is None or there.kind is None else TYPES[Kind(there.kind)]
    return OwnModel(
        name=model.name,
        model_type=config.model_type or inferred,
        model_path=config.model_path,
        port=model.port,
        aliases=list(config.aliases),
        group=config.group,
        default=config.default,
        found=there,
    )


def _own_sheet(own: list[OwnModel]) -> Sheet:
    return Sheet(
        _OWN_COLUMNS,
        [
            (
                model.name,
                model.model_type or "-",
                str(model.port),
                *_facts(model.found),
                model.model_path or "-",
                ", ".join(model.aliases),
            )
            for model in own
        ],
    )


def _facts(model: DiscoveredModel | None) -> tuple[str, ...]:
    """Size, bits, context, memory."""
    if model is None or model.parameters is None:
        return ("-", "-", "-", "-")
    return (
        parameters_text(model.parameters),
        model.quantisation or "-",
        "-" if model.context_length is None else str(model.context_length),
        "-" if model.needed_bytes is None else size_text(model.needed_bytes),
    )


models.add_command(pull)
models.add_command(rm)

COMMANDS = {"models": models}
