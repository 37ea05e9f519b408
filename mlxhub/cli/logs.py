"""`mlxhub logs`."""

import select
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import click

from mlxhub.cli.completion import complete_model
from mlxhub.cli.flash import Tone, flash
from mlxhub.cli.local_hub import config_in_force, find_machine
from mlxhub.cli.log_lines import LogLines
from mlxhub.cli.nobody_reads import until_nobody_reads
from mlxhub.errors import MlxhubError, UnknownModel
from mlxhub.files.log_files import earlier_files, has_content
from mlxhub.files.log_reading import LogReader

_LOOK_EVERY_MS = 300


@click.command()
@click.argument("model", default="controller", shell_complete=complete_model)
@click.option("-f", "--follow", is_flag=True, help="Go on as lines come, until ctrl-c.")
@click.option(
    "-n",
    "--lines",
    default=50,
    show_default=True,
    type=click.IntRange(0, 1_000_000),
    help="Begin with so many.",
)
@click.pass_obj
def logs(file: Path | None, model: str, follow: bool, lines: int) -> None:
    """Show the log of MODEL, or of the controller, and what its process last said before it could log."""
    machine = find_machine(file)
    config, faults = config_in_force(machine)
    for fault in faults:
        flash(Tone.WARN, str(fault))
    paths = machine.paths.with_logs(config.log_path, machine.home)
    found = config.find(model)
    if found is None and model != "controller":
        raise UnknownModel(model, ("controller", *(m.name for m in config.models)))
    name = found.name if found else model
    log, last_words = paths.log(name), paths.last_words(name)
    says_something = has_content(last_words)
    if not log.is_file() and not earlier_files(log) and not says_something:
        raise MlxhubError(f"{log} does not exist yet: {name} has not run.")
    write = _writer()
    with until_nobody_reads():
        if says_something:
            words = LogReader(last_words)
            write([f"--- {last_words}\n".encode(), words.last_lines(lines), f"--- {log}\n".encode()])
            words.close()
        reader = LogReader(log)
        write([reader.last_lines(lines)])
        if follow:
            _follow(reader, write)


def _follow(reader: LogReader, write: Callable[[Iterable[bytes]], None]) -> None:
    while True:
        write(reader.more())
        if _reader_left():
            return


def _writer() -> Callable[[Iterable[bytes]], None]:
    """To a terminal for people, to anything else byte by byte."""
    lines = LogLines() if sys.stdout.isatty() else None

    def write(chunks: Iterable[bytes]) -> None:
        for chunk in chunks:
            if lines is None:
                sys.stdout.buffer.write(chunk)
            else:
                click.echo(lines.shown(chunk), nl=False)
        sys.stdout.flush()

    return write


def _reader_left() -> bool:
    """Wait until the next look is due, or our reader has gone: a quiet log never tells."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(_LOOK_EVERY_MS))


COMMANDS = {"logs": logs}
