"""`mlxhub env`: what makes clients in a shell use this hub."""

import json
import os
import shlex
from pathlib import Path

import click

from mlxhub.cli.local_hub import config_in_force, controller_address, find_machine
from mlxhub.core.client_settings import environment
from mlxhub.files.keys import current_key


@click.command()
@click.option(
    "--shell",
    type=click.Choice(["sh", "bash", "zsh", "fish"]),
    help="For this shell; by default for your own.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def env(file: Path | None, shell: str | None, as_json: bool) -> None:
    """Print what makes OpenAI's and Anthropic's libraries use this hub.

    In sh, bash and zsh: eval "$(mlxhub env)"; in fish: mlxhub env | source
    """
    machine = find_machine(file)
    config, _ = config_in_force(machine)
    key = current_key(machine.paths.keys, "api") if config.api_key == "required" else None
    variables = environment(controller_address(config, machine.paths).url, key)
    if as_json:
        click.echo(json.dumps(variables, indent=2))
        return
    is_fish = (shell or Path(os.environ.get("SHELL", "")).name) == "fish"
    for name, value in variables.items():
        quoted = shlex.quote(value)
        click.echo(f"set -gx {name} {quoted}" if is_fish else f"export {name}={quoted}")


COMMANDS = {"env": env}
