"""Tables for people: aligned, coloured only on a terminal, never cut where the output goes to a file."""

import sys
import time
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from mlxhub.core.lifecycle import ModelState, ProcessState
from mlxhub.errors import size_text
from mlxhub.protocol.hub import HubStatus, ModelView

_FILE_WIDTH = 200
_PROCESS_STYLES = {
    ProcessState.RUNNING: "green",
    ProcessState.FAILED: "red",
    ProcessState.THROTTLED: "red",
    ProcessState.UNKNOWN: "yellow",
}


def models_table(models: Sequence[ModelView]) -> Table:
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
            "-" if view.memory_bytes is None else size_text(view.memory_bytes),
            view.last_exit or "-",
            "-" if view.unload_at is None else duration(view.unload_at - now),
        )
    return table


def print_table(table: Table) -> None:
    """As wide as the terminal, or as it needs to be."""
    width = None if sys.stdout is not None and sys.stdout.isatty() else _FILE_WIDTH
    Console(width=width, highlight=False).print(table)


def limits_lines(seen: HubStatus) -> list[str]:
    """Memory where some is reserved, and each group."""
    lines = []
    if seen.memory.reserved_bytes and seen.memory.limit_bytes is not None:
        held = ", ".join(
            f"{holder.name} {size_text(holder.reserved_bytes)}" for holder in seen.memory.holders
        )
        reserved, limit = size_text(seen.memory.reserved_bytes), size_text(seen.memory.limit_bytes)
        lines.append(f"memory  {reserved} of {limit} reserved: {held}")
    lines += [
        f"group {group.name}  {len(group.loaded)} of {group.max_loaded} loaded"
        + (f": {', '.join(group.loaded)}" if group.loaded else "")
        for group in seen.groups
    ]
    return lines


def duration(seconds: float) -> str:
    """Two units at most: 45s, 12m 5s, 3h 20m, 9d 4h."""
    whole = max(0, round(seconds))
    parts = [(whole // 86_400, "d"), (whole // 3_600 % 24, "h"), (whole // 60 % 60, "m"), (whole % 60, "s")]
    first = next((index for index, (value, _) in enumerate(parts) if value), 3)
    return " ".join(f"{value}{unit}" for value, unit in parts[first : first + 2] if value) or "0s"


def _memory(state: ModelState) -> str:
    return f"[green]{state}[/]" if state is ModelState.READY else str(state)
