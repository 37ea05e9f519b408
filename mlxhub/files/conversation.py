"""With a program that runs: both pipes at once, so that neither side waits for the other."""

import os
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector
from subprocess import Popen

LOOK_SECONDS = 0.01
_CHUNK_BYTES = 65_536


class Conversation:
    """`output`: what it has said, and nobody has taken out."""

    def __init__(self, process: Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.output = bytearray()
        self._left = memoryview(b"")
        self._is_last = False
        self._stdin = process.stdin
        self._stdout = process.stdout
        self._selector = DefaultSelector()
        os.set_blocking(self._stdin.fileno(), False)
        self._selector.register(self._stdout, EVENT_READ)

    def give(self, more: bytes, *, is_last: bool = False) -> None:
        """It gets what fits into its pipe, and the rest as it reads. After the last its input is closed."""
        is_waiting = bool(self._left)
        self._left = memoryview(bytes(self._left) + more if is_waiting else more)
        self._is_last = is_last
        if not is_waiting:
            self._selector.register(self._stdin, EVENT_WRITE)
            self._give()

    def go_on(self) -> bool:
        """For a moment. False once it has said all."""
        for key, _ in self._selector.select(LOOK_SECONDS):
            if key.fileobj is self._stdin:
                self._give()
            elif not self._take():
                return False
        return True

    def close(self) -> None:
        """The pipes are closed with the process."""
        self._selector.close()

    def _give(self) -> None:
        try:
            self._left = self._left[os.write(self._stdin.fileno(), self._left[:_CHUNK_BYTES]) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._left = self._left[:0]
        if not self._left:
            self._selector.unregister(self._stdin)
            if self._is_last:
                self._stdin.close()

    def _take(self) -> bool:
        said = os.read(self._stdout.fileno(), _CHUNK_BYTES)
        self.output += said
        return bool(said)
