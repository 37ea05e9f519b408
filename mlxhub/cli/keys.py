"""`mlxhub keys`: show the keys of this hub, and replace them."""

import time
from pathlib import Path
from typing import Literal

import click

from mlxhub.cli.flash import Tone, flash
from mlxhub.cli.local_hub import find_machine
from mlxhub.files.connections import connected_clients
from mlxhub.files.keys import ALL, Which, current_key, rotate_key

# For a moment the hub itself still signs with the old one.
_WORKER_KEY_SECONDS = 60.0
_HOUR_SECONDS = 3600.0
_shown = click.argument("which", type=click.Choice(["api", "admin"]), default="api")


@click.group()
def keys() -> None:
    """The API key, which clients show, and the admin key, which the dashboard takes."""


@keys.command()
@_shown
@click.pass_obj
def show(file: Path | None, which: Literal["api", "admin"]) -> None:
    """Print one of them: for clients (api) or for the dashboard (admin)."""
    click.echo(current_key(find_machine(file).paths.keys, which))


@keys.command()
@click.argument("which", type=click.Choice(["api", "admin", "all"]), default="all")
@click.option(
    "--keep-old",
    type=click.FloatRange(min=0, max=24 * 30),
    metavar="HOURS",
    help="Go on taking the old key for so long, so that clients can be told the new one.",
)
@click.pass_obj
def rotate(file: Path | None, which: Literal["api", "admin", "all"], keep_old: float | None) -> None:
    """Make new keys, in force at once; running answers go on, and so do sessions of browsers."""
    paths = find_machine(file).paths
    directory = paths.keys
    chosen: tuple[Which, ...] = ALL if which == "all" else (which,)
    for each in chosen:
        if each == "worker":
            rotate_key(directory, each, keep_until=time.time() + _WORKER_KEY_SECONDS)
            continue
        until = None if keep_old is None else time.time() + keep_old * _HOUR_SECONDS
        rotate_key(directory, each, keep_until=until)
        kept = "" if keep_old is None else f" The old one is taken for {keep_old:g} h more."
        flash(Tone.OK, f"The {each} key is new; see it with: mlxhub keys show {each}.{kept}")
    if "api" in chosen:
        for client in connected_clients(paths):
            flash(
                Tone.WARN, f"The settings of {client} may have the old key. Tell it: mlxhub connect {client}"
            )


COMMANDS = {"keys": keys}
