"""`mlxhub config`: check hub.yaml, show what it means; JSON Schema and OpenAPI for editors and clients."""

import json
from pathlib import Path
from typing import Literal

import click
import yaml

from mlxhub.cli.flash import Tone, flash
from mlxhub.core.config import HubConfig
from mlxhub.core.limits import undefined_groups
from mlxhub.errors import ConfigError
from mlxhub.files.hub_yaml import known_ports, missing_models, read_hub_yaml
from mlxhub.files.machine import this_machine
from mlxhub.fleet.libraries import lacking_libraries


@click.group()
def config() -> None:
    """Check and show hub.yaml."""


@config.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def validate(file: Path | None, as_json: bool) -> None:
    """Say every fault of hub.yaml with its line; exit 1 if there is one."""
    machine = this_machine(file)
    source = str(machine.paths.config)
    try:
        hub = read_hub_yaml(machine.paths.config)
        known_ports(hub, machine.paths)
    except ConfigError as error:
        if as_json:
            faults = [{"line": fault.line, "message": fault.message} for fault in error.faults]
            click.echo(json.dumps({"file": source, "valid": False, "faults": faults, "warnings": []}))
        raise
    warnings = [
        *undefined_groups(hub),
        *missing_models(hub, machine.paths, machine.home),
        *lacking_libraries(hub, machine),
    ]
    if as_json:
        click.echo(json.dumps({"file": source, "valid": True, "faults": [], "warnings": warnings}))
        return
    for warning in warnings:
        flash(Tone.WARN, warning)
    flash(Tone.OK, f"{source} is valid: {len(hub.models)} model(s).")


@config.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def show(file: Path | None, as_json: bool) -> None:
    """Show hub.yaml with every default filled in."""
    hub = read_hub_yaml(this_machine(file).paths.config).model_dump(mode="json")
    click.echo(json.dumps(hub, indent=2) if as_json else yaml.safe_dump(hub, sort_keys=False).rstrip())


@config.command()
def schema() -> None:
    """Print the JSON Schema of hub.yaml, for editors that complete it."""
    click.echo(json.dumps(HubConfig.model_json_schema(), indent=2))


@config.command()
@click.argument("program", type=click.Choice(["controller", "worker"]), default="controller")
def openapi(program: Literal["controller", "worker"]) -> None:
    """Print the OpenAPI document of the controller or of a worker."""
    if program == "controller":
        from mlxhub.controller.openapi import controller_openapi  # noqa: PLC0415 - imports a whole program

        document = controller_openapi()
    else:
        from mlxhub.worker.openapi import worker_openapi  # noqa: PLC0415 - likewise

        document = worker_openapi()
    click.echo(json.dumps(document, indent=2))


COMMANDS = {"config": config}
