"""A program that says what it does, line by line, and that must not be left behind."""

import os
import select
import time
from collections.abc import Iterator, Mapping, Sequence
from subprocess import DEVNULL, PIPE, Popen

from mlxhub.files.bounded_run import end_process

_LOOK_EVERY_MS = 500


class ChildLines:
    """Its lines as they come. It sees the end of its standard input when this process dies.

    `silence_seconds`: how long it may say nothing. Iterate once, then `end`; `cancel` from any thread.
    """

    def __init__(
        self, command: Sequence[str], *, environment: Mapping[str, str], silence_seconds: float
    ) -> None:
        """Raises OSError."""
        self._process = Popen(command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=environment)
        self._silence_seconds = silence_seconds
        self.is_late = False
        self.is_ended = False

    def __iter__(self) -> Iterator[bytes]:
        """Until it is over, is too late, or is ended."""
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        poll = select.poll()  # select takes no descriptor above 1,023
        poll.register(descriptor, select.POLLIN)
        begun = b""
        heard_at = time.monotonic()
        while not self.is_ended:
            if not poll.poll(_LOOK_EVERY_MS):
                if time.monotonic() - heard_at > self._silence_seconds:
                    self.is_late = True
                    return
                continue
            heard_at = time.monotonic()
            data = os.read(descriptor, 65_536)
            if not data:
                return
            *lines, begun = (begun + data).split(b"\n")
            yield from lines

    def cancel(self) -> None:
        """It ends soon, and so does whoever iterates."""
        self.is_ended = True
        self._process.kill()

    def end(self) -> None:
        """When nobody iterates any more."""
        self.is_ended = True
        end_process(self._process)
