"""A hub's models and limits, as people read them."""

import time
from collections.abc import Sequence

from rich.text import Text

from mlxhub.cli.sheet import Column, Sheet
from mlxhub.core.lifecycle import ModelState, ProcessState
from mlxhub.errors import size_text
from mlxhub.protocol.hub import HubStatus, ModelView

_COLUMNS = (
    Column("MODEL"),
    Column("PROCESS"),
    Column("MEMORY"),
    Column("PORT", right=True),
    Column("PID", right=True, spared=2),
    Column("UPTIME", spared=4),
    Column("RAM", right=True, spared=1),
    Column("LAST EXIT", spared=3),
    Column("UNLOADS IN", spared=5),
)
_PROCESS_STYLES = {
    ProcessState.RUNNING: "green",
    ProcessState.FAILED: "red",
    ProcessState.THROTTLED: "red",
    ProcessState.UNKNOWN: "yellow",
}
_MEMORY_STYLES = {ModelState.READY: "green"}


def models_sheet(models: Sequence[ModelView]) -> Sheet:
    now = time.time()
    return Sheet(_COLUMNS, [_cells(view, now) for view in models])


def _cells(view: ModelView, now: float) -> Sequence[str | Text]:
    return (
        view.name,
        Text(view.process, _PROCESS_STYLES.get(view.process, "")),
        "-" if view.memory is None else Text(view.memory, _MEMORY_STYLES.get(view.memory, "")),
        str(view.port),
        "-" if view.pid is None else str(view.pid),
        "-" if view.started_at is None else duration(now - view.started_at),
        "-" if view.memory_bytes is None else size_text(view.memory_bytes),
        view.last_exit or "-",
        "-" if view.unload_at is None else duration(view.unload_at - now),
    )


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
