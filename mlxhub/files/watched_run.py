"""Running a program on what a stranger wrote: it is killed beyond its time, its memory or its output."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from subprocess import DEVNULL, PIPE, Popen, TimeoutExpired

import psutil

from mlxhub.files.bounded_run import end_process
from mlxhub.files.conversation import Conversation


class Limit(StrEnum):
    START = "start"
    TIME = "time"
    MEMORY = "memory"
    OUTPUT = "output"
    UNWANTED = "unwanted"


@dataclass(frozen=True, slots=True)
class Limits:
    """It has `start_seconds` until it says its first byte, `seconds` from then on.

    `memory_bytes` may come to what it has in memory at its first byte; macOS enforces no RLIMIT_AS.
    """

    start_seconds: float
    seconds: float
    memory_bytes: int
    output_bytes: int


@dataclass(frozen=True, slots=True)
class Watched:
    """`beyond`: the limit it was killed at. `code` is None then."""

    code: int | None
    output: bytes
    beyond: Limit | None = None


def run_watched(
    command: Sequence[str],
    given: bytes,
    limits: Limits,
    *,
    environment: Mapping[str, str],
    is_wanted: Callable[[], bool] = lambda: True,
) -> Watched:
    """`given` is its standard input. What it complains of is not kept. Raises OSError.

    It is ended too when `is_wanted` says no, which is asked a hundred times a second.
    """
    process = Popen(command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=environment)
    try:
        with closing(Conversation(process)) as conversation:
            conversation.give(given, is_last=True)
            beyond = _watch(process, conversation, limits, is_wanted)
        return Watched(process.returncode if beyond is None else None, bytes(conversation.output), beyond)
    finally:
        end_process(process)


def _watch(
    process: Popen[bytes], conversation: Conversation, limits: Limits, is_wanted: Callable[[], bool]
) -> Limit | None:
    """Until it ends, or the limit that it went beyond."""
    deadline = time.monotonic() + limits.start_seconds
    allowed: int | None = None
    while conversation.go_on():
        if not is_wanted():
            return Limit.UNWANTED
        resident = resident_bytes(process.pid)
        if allowed is None and conversation.output:
            allowed = resident + limits.memory_bytes
            deadline = time.monotonic() + limits.seconds
        if time.monotonic() >= deadline:
            return Limit.START if allowed is None else Limit.TIME
        if len(conversation.output) > limits.output_bytes:
            return Limit.OUTPUT
        if allowed is not None and resident > allowed:
            return Limit.MEMORY
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except TimeoutExpired:
        return Limit.TIME
    return None


def resident_bytes(pid: int) -> int:
    """0 where it is gone."""
    try:
        return psutil.Process(pid).memory_info().rss
    except psutil.Error:
        return 0
