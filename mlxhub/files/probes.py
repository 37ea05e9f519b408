"""Questions to this machine that must not hang: each has a limit, and none changes anything."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_CHECKPOINT_PROBE = Path(__file__).with_name("checkpoint_probe.py")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a program said. A code of None: it is not there, or was not done in time."""

    code: int | None
    output: str


@dataclass(frozen=True, slots=True)
class CheckpointSeen:
    """`fault`: why no model can be loaded from there; None: there is nothing to see against it."""

    fault: str | None
    weights_bytes: int = 0


def ask_program(command: Sequence[str], seconds: float) -> Answer:
    """Standard output, or what it complained of."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Answer(None, f"it did not finish within {seconds:g} s")
    except OSError as error:
        return Answer(None, error.strerror or str(error))
    return Answer(done.returncode, done.stdout.strip() or done.stderr.strip())


def look_at_checkpoints(directories: Sequence[str], seconds: float) -> dict[str, CheckpointSeen]:
    """Each at most for so long, by another process: a network disk that is gone, or a question that macOS
    asks nobody, can keep whoever opens a file there for ever.
    """
    seen: dict[str, CheckpointSeen] = {}
    left = list(dict.fromkeys(directories))
    while left:
        found = _look(left, seconds)
        for directory, line in zip(left, found, strict=False):
            seen[directory] = _checkpoint(line)
        if len(found) < len(left):
            stuck = left[len(found)]
            seen[stuck] = CheckpointSeen(f"reading it did not end within {seconds:g} s")
        left = left[len(found) + 1 :]
    return seen


def _look(directories: Sequence[str], seconds: float) -> list[str]:
    """A line for each directory, in order, as far as it came."""
    command = [sys.executable, "-I", "-S", str(_CHECKPOINT_PROBE), *directories]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False
        )
        output = done.stdout
    except subprocess.TimeoutExpired as error:
        output = error.stdout or b""
    # A line that is not finished was cut short.
    return output.decode(errors="replace").split("\n")[:-1]


def _checkpoint(line: str) -> CheckpointSeen:
    fault, weights_bytes = json.loads(line)
    return CheckpointSeen(fault, weights_bytes)
