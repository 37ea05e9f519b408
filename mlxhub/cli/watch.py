"""`mlxhub watch`: the hub as it is, live."""

import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import click
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from mlxhub.cli.local_hub import find_machine
from mlxhub.cli.nobody_reads import until_nobody_reads
from mlxhub.cli.running import reach_controller
from mlxhub.cli.tables import duration, limits_lines, models_sheet
from mlxhub.clients.hub import HubAddress, HubClient
from mlxhub.errors import ControllerDown, MlxhubError
from mlxhub.files.hub_yaml import read_hub_yaml
from mlxhub.protocol.errors import RemoteError
from mlxhub.protocol.hub import HubStatus

_EVERY_SECONDS = 1.0


@click.command()
@click.pass_obj
def watch(file: Path | None) -> None:
    """Show every model as it is, until ctrl-c."""
    if not sys.stdout.isatty():
        raise MlxhubError("watch needs a terminal. Elsewhere use: mlxhub events -f, or mlxhub status --json")
    machine = find_machine(file)
    address = reach_controller(machine, read_hub_yaml(machine.paths.config))
    with until_nobody_reads(), Live(console=Console(highlight=False), auto_refresh=False) as live:
        _watch(address, lambda shown: live.update(shown, refresh=True))


def _watch(address: HubAddress, show: Callable[[Group], None]) -> None:
    last: HubStatus | None = None
    seen_at = time.monotonic()
    interrupted = _interruption()
    while not interrupted.is_set():
        gone = ""
        try:
            last = HubClient(address).status(fresh=False)
            seen_at = time.monotonic()
        except (ControllerDown, RemoteError) as error:
            gone = f"{error} What is shown was so {duration(time.monotonic() - seen_at)} ago."
        if last is not None:
            show(_shown(last, address.url, gone))
        interrupted.wait(_EVERY_SECONDS)


def _interruption() -> threading.Event:
    """Of ctrl-c, which ends everything at once as ever; but where it meets a finalizer, Python drops it."""
    interrupted = threading.Event()

    def on_interrupt(_number: int, _frame: FrameType | None) -> None:
        interrupted.set()
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, on_interrupt)
    return interrupted


def _shown(seen: HubStatus, url: str, gone: str) -> Group:
    controller = f"controller  {seen.controller.process}  {url}, pid {seen.controller.pid}"
    faults = [f"{view.name}: {view.error}" for view in seen.models if view.error]
    return Group(
        Text(controller if not gone else "controller  gone", style="" if not gone else "yellow"),
        models_sheet(seen.models),
        *map(Text, limits_lines(seen)),
        *(Text(warning, style="yellow") for warning in (*seen.warnings, *([gone] if gone else []))),
        *(Text(fault, style="red") for fault in faults),
    )


COMMANDS = {"watch": watch}
