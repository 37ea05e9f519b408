"""Tables for people: aligned, coloured only on a terminal, never cut where the output goes to a file."""

import sys
import time
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from mlxhub.core.lifecycle import ModelState, ProcessState
from mlxhub.protocol.hub import ModelView

_FILE_WIDTH = 200
_PROCESS_STYLES = {
    ProcessState.RUNNING: "green",
    ProcessState.FAILED: "red",
    ProcessState.THROTTLED: "red",
    ProcessState.UNKNOWN: "yellow",
}


def models_table(models: Sequence[ModelView]) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("MODEL", "PROCESS", "MEMORY", "PORT", "PID", "UPTIME", "RAM", "LAST EXIT", "UNLOADS IN"):
        table.add_column(
            column, no_wrap=True, justify="right" if column in ("PORT", "PID", "RAM") else "left"
        )
    now = time.time()
    for view in models:
        style = _PROCESS_STYLES.get(view.process, "")
        table.add_row(
            view.name,
            f"[{style}]{view.process}[/]" if style else view.process,
            "-" if view.memory is None else _memory(view.memory),
            str(view.port),
            "-" if view.pid is None else str(view.pid),
            "-" if view.started_at is None else duration(now - view.started_at),
            "-" if view.memory_bytes is None else size(view.memory_bytes),
            view.last_exit or "-",
            "-" if view.unload_at is None else duration(view.unload_at - now),
        )
    Console(
        width=None if sys.stdout is not None and sys.stdout.isatty() else _FILE_WIDTH, highlight=False
    ).print(table)


def duration(seconds: float) -> str:
    """Two units at most: 45s, 12m 5s, 3h 20m, 9d 4h."""
    whole = max(0, round(seconds))
    parts = [(whole // 86_400, "d"), (whole // 3_600 % 24, "h"), (whole // 60 % 60, "m"), (whole % 60, "s")]
    first = next((index for index, (value, _) in enumerate(parts) if value), 3)
    return " ".join(f"{value}{unit}" for value, unit in parts[first : first + 2] if value) or "0s"


def size(count: int) -> str:
    """Decimal units, as memory is sold and as macOS shows it."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _memory(state: ModelState) -> str:
    return f"[green]{state}[/]" if state is ModelState.READY else str(state)
