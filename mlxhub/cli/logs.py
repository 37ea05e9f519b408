"""`mlxhub logs`."""

import contextlib
import os
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import click

from mlxhub.cli.local_hub import find_machine
from mlxhub.errors import MlxhubError, UnknownModel
from mlxhub.files.hub_yaml import read_hub_yaml

_LOOK_EVERY_SECONDS = 0.3


@click.command()
@click.argument("model", default="controller")
@click.option("-f", "--follow", is_flag=True, help="Go on as lines come, until ctrl-c.")
@click.option(
    "-n", "--lines", default=50, show_default=True, type=click.IntRange(0), help="Begin with so many."
)
@click.pass_obj
def logs(file: Path | None, model: str, follow: bool, lines: int) -> None:
    """Show the log of MODEL, or of the controller, and what its process last said before it could log."""
    machine = find_machine(file)
    config = read_hub_yaml(machine.paths.config)
    paths = machine.paths.with_logs(config.log_path, machine.home)
    found = config.find(model)
    if found is None and model != "controller":
        raise UnknownModel(model, ("controller", *(m.name for m in config.models)))
    name = found.name if found else model
    last_words = [path for path in (paths.last_words(name),) if path.is_file() and path.stat().st_size]
    if not paths.log(name).is_file() and not last_words:
        raise MlxhubError(f"{paths.log(name)} does not exist yet: {name} has not run.")
    for path in last_words:
        click.echo(f"--- {path}")
        _print_tail(path, lines)
        click.echo(f"--- {paths.log(name)}")
    _print_tail(paths.log(name), lines)
    if follow:
        with contextlib.suppress(KeyboardInterrupt):
            for text in _follow(paths.log(name)):
                click.echo(text, nl=False)


def _print_tail(path: Path, lines: int) -> None:
    if path.is_file():
        with path.open(errors="replace") as file:
            click.echo("".join(deque(file, lines)), nl=False)


def _follow(path: Path) -> Iterator[str]:
    """What is appended from now on. A log that was rotated is a new file under the old name."""
    position = path.stat().st_size if path.is_file() else 0
    inode = path.stat().st_ino if path.is_file() else 0
    while True:
        if path.is_file():
            with path.open(errors="replace") as file:
                now = os.fstat(file.fileno())
                if now.st_ino != inode or now.st_size < position:
                    inode, position = now.st_ino, 0
                file.seek(position)
                yield file.read()
                position = file.tell()
        time.sleep(_LOOK_EVERY_SECONDS)


COMMANDS = {"logs": logs}
