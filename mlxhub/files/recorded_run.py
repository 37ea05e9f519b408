"""One run of a program under launchd, written down from its first moment to its end."""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil
from loguru import logger

from mlxhub.core.paths import RunFiles
from mlxhub.core.restarts import (
    Park,
    Run,
    begun,
    crash_loop_reason,
    decide,
    describe_end,
    ended,
    noticed,
    predecessor_reason,
)
from mlxhub.errors import StateUnreadable, StateUnwritable
from mlxhub.files.early_stop import end_cleanly_on_sigterm
from mlxhub.files.flight_record import read_flight
from mlxhub.files.runs import hold_run_lock, park, parked_reason, read_runs, write_runs

EXIT_PARKED = 0
EXIT_UNEXPECTED = 1
PREDECESSOR_SECONDS = 10.0
_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Ending:
    """How a program ends. Not `cleanly`: something in it does not stop, and the interpreter would wait."""

    exit_code: int
    reason: str | None = None
    cleanly: bool = True


def run_recorded(
    files: RunFiles,
    program: Callable[[], Ending],
    *,
    open_log: Callable[[], None],
    last_exit: Callable[[], str | None],
    predecessor_seconds: float = PREDECESSOR_SECONDS,
    wall_clock: Callable[[], float] = time.time,
) -> Ending:
    """Run the program, unless it is parked or has to be now: then exit 0, after which launchd keeps it down.

    `open_log` comes first; where it raises StateUnwritable or OSError, that is how the run ends. `last_exit`:
    what launchd says of how this process's last run ended; asked only where that run left no end behind. What
    cannot be written down keeps no program from running.
    """
    end_cleanly_on_sigterm()
    program = _with_log(open_log, program)
    if (reason := parked_reason(files)) is not None:
        logger.error("{}", reason)
        return Ending(EXIT_PARKED, reason)
    try:
        history = _admit(files, last_exit, predecessor_seconds, wall_clock)
    except (StateUnwritable, OSError) as error:
        logger.warning("This run is not written down: {}", error)
        return program()
    if isinstance(history, Ending):
        logger.error("{}", history.reason)
        return history
    begin = history[-1]
    try:
        _write(files, history, "begin")
        ending = program()
    except SystemExit as error:
        _end(files, begin, Ending(error.code if isinstance(error.code, int) else EXIT_UNEXPECTED), wall_clock)
        raise
    except BaseException as error:
        reason = f"{type(error).__name__}: {error}"
        _end(files, begin, Ending(EXIT_UNEXPECTED, reason), wall_clock)
        raise
    _end(files, begin, ending, wall_clock)
    return ending


def _with_log(open_log: Callable[[], None], program: Callable[[], Ending]) -> Callable[[], Ending]:
    """The program; where its log cannot be opened, one that does nothing but end of that."""
    try:
        open_log()
    except (StateUnwritable, OSError) as error:
        logger.add(sys.stderr)
        fault = error

        def end_at_once() -> Ending:
            raise fault

        return end_at_once
    return program


def _admit(
    files: RunFiles,
    last_exit: Callable[[], str | None],
    predecessor_seconds: float,
    wall_clock: Callable[[], float],
) -> tuple[Run, ...] | Ending:
    """The history with the run that begins, or why none does."""
    history = _history(files)
    if not _outlive_predecessor(files, predecessor_seconds):
        pid = history[-1].pid if history and history[-1].ended_at is None else None
        reason = predecessor_reason(files.name, pid, _resident_bytes(pid), predecessor_seconds)
        park(files, reason, None)
        return Ending(EXIT_PARKED, reason)
    # It may have written its end while it was waited for.
    history = _history(files)
    now = wall_clock()
    if history and history[-1].ended_at is None:
        history = noticed(history, now, last_exit(), read_flight(files.flight).description)
    decision = decide(history, now)
    if isinstance(decision, Park):
        reason = crash_loop_reason(files.name, decision)
        write_runs(files, history)
        last = decision.deaths[-1]
        park(files, reason, describe_end(last) + (f": {last.reason}" if last.reason else ""))
        return Ending(EXIT_PARKED, reason)
    return begun(history, os.getpid(), now)


def _history(files: RunFiles) -> tuple[Run, ...]:
    """One that cannot be read is none: no model stays down for it."""
    try:
        return read_runs(files)
    except StateUnreadable as error:
        logger.warning("{} cannot be read ({}): earlier ends are not counted.", error.path, error.reason)
        return ()


def _outlive_predecessor(files: RunFiles, seconds: float) -> bool:
    """Whether this process holds the lock now, for the rest of its life."""
    deadline = time.monotonic() + seconds
    while (descriptor := hold_run_lock(files)) is None:
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_SECONDS)
    held = descriptor
    os.register_at_fork(after_in_child=lambda: os.close(held))
    return True


def _resident_bytes(pid: int | None) -> int | None:
    if pid is None:
        return None
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return None


def _end(files: RunFiles, run: Run, ending: Ending, wall_clock: Callable[[], float]) -> None:
    history = ended(_history(files), run, wall_clock(), ending.exit_code, ending.reason)
    _write(files, history, "end")


def _write(files: RunFiles, history: tuple[Run, ...], what: str) -> None:
    try:
        write_runs(files, history)
    except StateUnwritable as error:
        logger.warning("The {} of this run is not written down: {}", what, error)
