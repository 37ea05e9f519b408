"""A server that somebody else wrote, as a child of ours: its lines in our log, and it does not outlive us."""

import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from subprocess import PIPE, STDOUT, Popen, TimeoutExpired

import psutil

_TETHER = (sys.executable, "-I", "-S", str(Path(__file__).with_name("tether.py")))
# After SIGTERM; the last moments are for SIGKILL and what comes of it.
TERM_SECONDS = 5.0
_GONE_SECONDS = TERM_SECONDS + 2.0
_LONGEST_LINE = 8_000
_LAST_WORDS_SECONDS = 1.0


class TetheredProgram:
    """Runs from the beginning. `on_line` is called on a thread of its own, `on_end` there too, once.

    `on_end` gets the exit code, 128 and more for signals; not where `end` was called.
    """

    def __init__(
        self,
        command: Sequence[str],
        on_line: Callable[[str], None],
        on_end: Callable[[int], None],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Raises OSError."""
        self._on_line = on_line
        self._on_end = on_end
        self._is_meant = False
        self._process = Popen(
            [*_TETHER, str(TERM_SECONDS), *command],
            stdin=PIPE,
            stdout=PIPE,
            stderr=STDOUT,
            env=environment,
        )
        self._reader = threading.Thread(target=self._read, name="child", daemon=True)
        self._reader.start()
        threading.Thread(target=self._wait, name="child", daemon=True).start()

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    @property
    def memory_bytes(self) -> int:
        """Resident, of what was run and all that it started. Takes milliseconds."""
        return sum(map(_resident, self._descendants()))

    def end(self) -> bool:
        """SIGTERM, then SIGKILL; whether it is gone. Blocks for TERM_SECONDS and a little at most."""
        self._is_meant = True
        started = self._descendants()
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(_GONE_SECONDS)
        except TimeoutExpired:
            return False
        # A launcher may end and leave the server that it started.
        for each in started:
            with suppress(psutil.Error):
                each.kill()
        _, alive = psutil.wait_procs(started, _LAST_WORDS_SECONDS)
        return not alive

    def _descendants(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self._process.pid).children(recursive=True)
        except psutil.Error:
            return []

    def _read(self) -> None:
        assert self._process.stdout is not None
        begun = b""
        descriptor = self._process.stdout.fileno()
        while data := os.read(descriptor, 65_536):
            *lines, begun = (begun + data).split(b"\n")
            for line in lines:
                self._say(line)
            if len(begun) > _LONGEST_LINE:
                self._say(begun)
                begun = b""
        if begun:
            self._say(begun)

    def _wait(self) -> None:
        code = self._process.wait()
        # Its last words; what it leaves behind may hold the pipe for long.
        self._reader.join(_LAST_WORDS_SECONDS)
        if not self._is_meant:
            self._on_end(code)

    def _say(self, line: bytes) -> None:
        if text := line[:_LONGEST_LINE].decode(errors="replace").rstrip():
            self._on_line(text)


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0
