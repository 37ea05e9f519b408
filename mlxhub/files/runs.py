"""What the runs of a process left on disk: their history, and the note that keeps it down.

Neither belongs to the controller: a worker decides for itself, also where no controller is there.
"""

import contextlib
from pathlib import Path

from pydantic import TypeAdapter

from mlxhub.core.paths import RunFiles
from mlxhub.core.restarts import Run, forgiven
from mlxhub.errors import StateUnreadable
from mlxhub.files.locks import is_locked, try_lock
from mlxhub.files.log_reading import tail
from mlxhub.files.state import read_state, remove_file, write_atomically, write_state

EVIDENCE_LINES = 20
# The second line of a note that launcher/launch.sh wrote.
LAUNCHER_MARK = "Written by the launcher."
# Where launcher/launch.sh tells what it becomes which note keeps that down.
NOTE_VARIABLE = "MLXHUB_NOTE"
_RUNS = TypeAdapter(tuple[Run, ...])


def read_runs(files: RunFiles) -> tuple[Run, ...]:
    """The oldest first. Raises StateUnreadable."""
    return read_state(files.runs, _RUNS, ())


def write_runs(files: RunFiles, history: tuple[Run, ...]) -> None:
    """Raises StateUnwritable."""
    write_state(files.runs, _RUNS, history)


def parked_reason(files: RunFiles) -> str | None:
    """Why the process must stay down; None: it may run."""
    try:
        with files.parked.open(errors="replace") as file:
            return file.readline().strip() or f"It is parked, see {files.parked}"
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"{files.parked} cannot be read: {error.strerror or error}. Remove it, or make it readable."


def lasting_reason(files: RunFiles) -> str | None:
    """As parked_reason, but None where the next start may find that the reason is gone.

    So it is with the launcher's note, which the launcher takes away itself when Python works again.
    """
    reason = parked_reason(files)
    with contextlib.suppress(OSError):
        if files.parked.read_text(errors="replace").splitlines()[1:2] == [LAUNCHER_MARK]:
            return None
    return reason


def park(files: RunFiles, reason: str, last_end: str | None) -> None:
    """Whoever starts this process next ends again with exit 0. Raises StateUnwritable."""
    lines = [reason, *([] if last_end is None else [f"Last end: {last_end}"])]
    for path in (files.log, files.last_words):
        if found := tail(path, EVIDENCE_LINES):
            lines += [f"--- {path}", *found]
    write_atomically(files.parked, "".join(f"{line}\n" for line in lines).encode())


def keep_down(note: Path, reason: str) -> None:
    """As `park`, for what cannot even tell where its log is. A note that is there tells why already.

    Raises StateUnwritable.
    """
    if not note.exists():
        write_atomically(note, f"{reason}\n".encode())


def make_new_beginning(files: RunFiles) -> None:
    """A person asked for a start: the note goes, and no death so far counts.

    Raises StateUnwritable.
    """
    try:
        history = read_runs(files)
    except StateUnreadable:
        remove_file(files.runs)
    else:
        if history:
            write_runs(files, forgiven(history))
    remove_file(files.parked)


def hold_run_lock(files: RunFiles) -> int | None:
    """The descriptor by which this process shows that it lives; None: another one does.

    The kernel lets go when the process ends, which one that is stuck in the kernel does not. Raises
    StateUnwritable.
    """
    return try_lock(files.lock)


def is_alive(files: RunFiles) -> bool:
    """Whether a process holds the lock of its run."""
    return is_locked(files.lock)
