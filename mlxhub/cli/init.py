"""`mlxhub init`."""

from pathlib import Path

import click

from mlxhub.cli.flash import Tone, flash
from mlxhub.cli.initial import initial_hub_yaml
from mlxhub.cli.local_hub import find_machine
from mlxhub.errors import MlxhubError
from mlxhub.files.ports import is_free
from mlxhub.files.state import write_atomically


@click.command()
@click.option(
    "--force", is_flag=True, help="Replace a hub.yaml that is there; the old one is kept beside it."
)
@click.option("--if-missing", is_flag=True, help="Do nothing where there is a hub.yaml.")
@click.pass_obj
def init(file: Path | None, force: bool, if_missing: bool) -> None:
    """Write a commented hub.yaml with the built-in demo model."""
    path = find_machine(file).paths.config
    if path.exists() and if_missing:
        flash(Tone.INFO, f"{path} is there already and stays as it is.")
        return
    if path.exists() and not force:
        raise MlxhubError(f"{path} is there already. Replace it with: mlxhub init --force")
    if path.exists():
        kept = path.with_suffix(".yaml.before-init")
        path.replace(kept)
        flash(Tone.INFO, f"The old hub.yaml is now {kept}.")
    write_atomically(path, initial_hub_yaml(is_free).encode())
    flash(Tone.OK, f"Wrote {path}. Start it with: mlxhub install")


COMMANDS = {"init": init}
