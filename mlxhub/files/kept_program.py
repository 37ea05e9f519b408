"""A program that works on what a stranger wrote, asked again and again: it is killed beyond a limit."""

import time
from collections.abc import Mapping, Sequence
from subprocess import DEVNULL, PIPE, Popen, TimeoutExpired

from mlxhub.files.bounded_run import end_process
from mlxhub.files.conversation import LOOK_SECONDS, Conversation
from mlxhub.files.watched_run import Limit, Limits, resident_bytes

_END_SECONDS = 1.0


class Beyond(Exception):
    """It was killed at this limit."""

    def __init__(self, limit: Limit) -> None:
        super().__init__(limit)
        self.limit = limit


class Ended(Exception):
    """It ended by itself, or somebody else ended it. `code` as of Popen; None: it only closed its output."""

    def __init__(self, code: int | None) -> None:
        super().__init__(code)
        self.code = code


class KeptProgram:
    """It says a line once it is ready, and then one for each it is given. It ends when its input does.

    One thread at a time may ask; `kill` may come from another. What it complains of is not kept.
    """

    def __init__(self, command: Sequence[str], *, environment: Mapping[str, str]) -> None:
        """Raises OSError."""
        self._process = Popen(command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=environment)
        try:
            self._conversation = Conversation(self._process)
        except BaseException:
            end_process(self._process)
            raise
        self._ready_bytes: int | None = None

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def tell(self, line: bytes) -> None:
        """What it needs to become ready, at once."""
        self._conversation.give(line + b"\n")

    def ask(self, line: bytes, limits: Limits) -> bytes:
        """Its answer. Raises Beyond and Ended; then it is good for nothing but `close`."""
        self._conversation.give(line + b"\n")
        if self._ready_bytes is None:
            self._next_line(limits, time.monotonic() + limits.start_seconds)
            self._ready_bytes = resident_bytes(self._process.pid)
        return self._next_line(limits, time.monotonic() + limits.seconds)

    def kill(self) -> None:
        """Whoever asks it is told that it ended."""
        self._process.kill()

    def close(self) -> None:
        self._conversation.close()
        end_process(self._process)

    def _next_line(self, limits: Limits, deadline: float) -> bytes:
        output = self._conversation.output
        look_at = time.monotonic() + LOOK_SECONDS
        searched = 0
        while (end := output.find(b"\n", searched)) < 0:
            searched = len(output)
            if not self._conversation.go_on():
                raise Ended(self._code())
            if time.monotonic() >= look_at:
                look_at = time.monotonic() + LOOK_SECONDS
                self._look(limits, deadline)
        line = bytes(output[:end])
        del output[: end + 1]
        return line

    def _look(self, limits: Limits, deadline: float) -> None:
        own = self._ready_bytes
        if time.monotonic() >= deadline:
            raise self._killed(Limit.START if own is None else Limit.TIME)
        if len(self._conversation.output) > limits.output_bytes:
            raise self._killed(Limit.OUTPUT)
        if own is not None and resident_bytes(self._process.pid) > own + limits.memory_bytes:
            raise self._killed(Limit.MEMORY)

    def _killed(self, limit: Limit) -> Beyond:
        self._process.kill()
        return Beyond(limit)

    def _code(self) -> int | None:
        try:
            return self._process.wait(_END_SECONDS)
        except TimeoutExpired:
            return None
