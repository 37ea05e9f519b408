"""Models on this machine's disks, in hub.yaml or not: found in another process, kept in a file."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from mlxhub.core.described import Described, describe
from mlxhub.core.memory import Checkpoint, Use
from mlxhub.errors import StateUnreadable
from mlxhub.files.bounded_run import run_bounded
from mlxhub.files.state import read_state, write_state

SCAN_SECONDS = 60.0
_PROGRAM = (sys.executable, "-I", "-m", "mlxhub.registry.scan")
_KNOWN: TypeAdapter[dict[str, tuple[str, dict[str, Any]]]] = TypeAdapter(
    dict[str, tuple[str, dict[str, Any]]]
)


@dataclass(frozen=True, slots=True)
class Discovered:
    """`name`: a repo id, or the directory itself: what stands in hub.yaml. `size_bytes`: of all its files.

    `fault`: why it cannot be loaded; it is not described then.
    """

    name: str
    directory: str
    size_bytes: int
    described: Described | None
    fault: str | None


@dataclass(frozen=True, slots=True)
class Discovery:
    """`is_complete`: every place was looked at; else one of them hangs, or is very large."""

    models: tuple[Discovered, ...]
    is_complete: bool


def discover(places: Sequence[Path], known: Path, use: Use, *, seconds: float = SCAN_SECONDS) -> Discovery:
    """`known`: the file with what was found before, which is written again. `use`: what is meant with it.

    Blocks. Raises StateUnwritable and OSError.
    """
    ran = run_bounded((*_PROGRAM, str(known), *map(str, places)), seconds)
    is_complete = ran.code == 0
    lines = [
        json.loads(line) for line in ran.output.decode().splitlines(keepends=True) if line.endswith("\n")
    ]
    found = {directory: (stamp, look) for _, directory, stamp, look in lines}
    before = _read(known)
    kept = found if is_complete else before | found
    if kept != before:
        write_state(known, _KNOWN, kept)
    models = (_discovered(name, directory, look, use) for name, directory, _, look in lines)
    return Discovery(tuple(sorted(models, key=lambda model: model.name.lower())), is_complete)


def _read(known: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    try:
        return read_state(known, _KNOWN, {})
    except StateUnreadable:
        return {}


def _discovered(name: str, directory: str, look: dict[str, Any], use: Use) -> Discovered:
    if fault := look.get("fault"):
        return Discovered(name, directory, 0, None, fault)
    described = describe(Checkpoint(look["config"], look["weights"], frozenset(look["names"])), use)
    return Discovered(name, directory, look["bytes"], described, None)
