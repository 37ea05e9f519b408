"""Running a program on what a stranger wrote: it is killed beyond its time, its memory or its output."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector
from subprocess import DEVNULL, PIPE, Popen, TimeoutExpired
from typing import Self

import psutil

from mlxhub.files.bounded_run import end_process

_LOOK_SECONDS = 0.01
_CHUNK_BYTES = 65_536


class Limit(StrEnum):
    START = "start"
    TIME = "time"
    MEMORY = "memory"
    OUTPUT = "output"


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
    command: Sequence[str], given: bytes, limits: Limits, *, environment: Mapping[str, str]
) -> Watched:
    """`given` is its standard input. What it complains of is not kept. Raises OSError."""
    process = Popen(command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=environment)
    try:
        with _Conversation(process, given) as conversation:
            beyond = _watch(process, conversation, limits)
        return Watched(process.returncode if beyond is None else None, bytes(conversation.output), beyond)
    finally:
        end_process(process)


class _Conversation:
    """Both pipes at once, so that neither side waits for the other."""

    def __init__(self, process: Popen[bytes], given: bytes) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.output = bytearray()
        self._left = memoryview(given)
        self._stdin = process.stdin
        self._stdout = process.stdout
        self._selector = DefaultSelector()
        os.set_blocking(self._stdin.fileno(), False)
        self._selector.register(self._stdin, EVENT_WRITE)
        self._selector.register(self._stdout, EVENT_READ)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.close()

    def go_on(self) -> bool:
        """For a moment. False once it has said all."""
        for key, _ in self._selector.select(_LOOK_SECONDS):
            if key.fileobj is self._stdin:
                self._give()
            elif not self._take():
                return False
        return True

    def _give(self) -> None:
        try:
            self._left = self._left[os.write(self._stdin.fileno(), self._left[:_CHUNK_BYTES]) :]
        except BrokenPipeError:
            self._left = self._left[:0]
        if not self._left:
            self._selector.unregister(self._stdin)
            self._stdin.close()

    def _take(self) -> bool:
        said = os.read(self._stdout.fileno(), _CHUNK_BYTES)
        self.output += said
        return bool(said)


def _watch(process: Popen[bytes], conversation: _Conversation, limits: Limits) -> Limit | None:
    """Until it ends, or the limit that it went beyond."""
    deadline = time.monotonic() + limits.start_seconds
    allowed: int | None = None
    while conversation.go_on():
        resident = _resident_bytes(process.pid)
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


def _resident_bytes(pid: int) -> int:
    try:
        return psutil.Process(pid).memory_info().rss
    except psutil.Error:
        return 0
