"""Questions to this machine that must not hang: each has a limit, and none changes anything."""

import json
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from mlxhub.files.bounded_run import run_bounded

_PYTHON = (sys.executable, "-I", "-S")
_CHECKPOINT_PROBE = (*_PYTHON, str(Path(__file__).with_name("checkpoint_probe.py")))
_DIRECTORY_PROBE = (
    "import os, sys\nfor path in sys.argv[1:]: print('yes' if os.path.isdir(path) else 'no', flush=True)"
)
# Each holds two pipes, and a shell of macOS lets a process open 256 files.
_CONCURRENT_PROBES = 32


@dataclass(frozen=True, slots=True)
class Answer:
    """What a program said. A code of None: it is not there, or was not done in time."""

    code: int | None
    output: str


@dataclass(frozen=True, slots=True)
class CheckpointSeen:
    """`directory`: where it lies; None for a repo id of which the cache has nothing, or nobody can tell.

    `fault`: why no model can be loaded from there; None: there is nothing to see against it. `remedy`: what
    to do about that; None: what can be done about any.
    """

    directory: str | None
    fault: str | None = None
    weights_bytes: int = 0
    remedy: str | None = None


def ask_program(command: Sequence[str], seconds: float) -> Answer:
    """Standard output, or what it complained of."""
    try:
        done = run_bounded(command, seconds)
    except OSError as error:
        return Answer(None, error.strerror or str(error))
    if done.code is None:
        return Answer(None, f"it did not finish within {seconds:g} s")
    said = done.output.decode(errors="replace").strip() or done.errors.decode(errors="replace").strip()
    return Answer(done.code, said)


def look_at_checkpoints(locations: Sequence[str], cache: Path, seconds: float) -> dict[str, CheckpointSeen]:
    """Each location is an absolute path or the repo id of what may be in this Hugging Face cache."""
    lines = line_of_each([*_CHECKPOINT_PROBE, str(cache)], locations, seconds)
    late = f"reading it did not end within {seconds:g} s"
    return {
        location: CheckpointSeen(None, late) if line is None else _checkpoint(line)
        for location, line in lines.items()
    }


def are_directories(paths: Sequence[str], seconds: float) -> dict[str, bool | None]:
    """None: it cannot be told in time."""
    lines = line_of_each([*_PYTHON, "-c", _DIRECTORY_PROBE], paths, seconds)
    return {path: None if line is None else line == "yes" for path, line in lines.items()}


def line_of_each(program: Sequence[str], arguments: Sequence[str], seconds: float) -> dict[str, str | None]:
    """The line that this program prints for each argument; None where none comes in time.

    Another process reads them: a network disk that is gone, or a question that macOS asks nobody, can keep
    whoever opens a file there for ever. All in one first; those behind one that hangs, each in its own.
    """
    wanted = list(dict.fromkeys(arguments))
    lines = _lines(program, wanted, seconds) if wanted else []
    seen: dict[str, str | None] = dict(zip(wanted, lines, strict=False))
    left = wanted[len(lines) + 1 :]
    if left:
        with ThreadPoolExecutor(_CONCURRENT_PROBES, "probe") as threads:
            alone = threads.map(lambda argument: _lines(program, [argument], seconds), left)
            seen |= {argument: next(iter(found), None) for argument, found in zip(left, alone, strict=True)}
    return {argument: seen.get(argument) for argument in wanted}


def _lines(program: Sequence[str], arguments: Sequence[str], seconds: float) -> list[str]:
    """As far as it came. A line that is not finished was cut short."""
    done = run_bounded((*program, *arguments), seconds)
    return done.output.decode(errors="replace").split("\n")[:-1]


def _checkpoint(line: str) -> CheckpointSeen:
    directory, fault, weights_bytes = json.loads(line)
    return CheckpointSeen(directory, fault, weights_bytes)
