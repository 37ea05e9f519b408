"""A log on a terminal: levels in colour, and nothing in it commands the terminal."""

import codecs
import re

import click

from mlxhub.core.plain_text import harmless

# As mlxhub.logs writes them: time, level, request, message.
_ENTRY = re.compile(r"(\S+) (TRACE|DEBUG|INFO|SUCCESS|WARNING|ERROR|CRITICAL)( +)(.*)", re.DOTALL)
_COLOURS = {
    "TRACE": "bright_black",
    "DEBUG": "bright_black",
    "INFO": "blue",
    "SUCCESS": "green",
    "WARNING": "yellow",
    "ERROR": "red",
    "CRITICAL": "bright_red",
}


class LogLines:
    """Fed with what was read, in pieces that may end anywhere."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._is_within = False

    def shown(self, piece: bytes) -> str:
        """What is new of it, also of a line that has not ended."""
        said = []
        for line in self._decoder.decode(piece).splitlines(keepends=True):
            # What has been begun is shown, and cannot be coloured any more.
            said.append(harmless(line) if self._is_within else _coloured(harmless(line)))
            self._is_within = not line.endswith("\n")
        return "".join(said)


def _coloured(line: str) -> str:
    entry = _ENTRY.match(line)
    if entry is None:
        return line
    time, level, gap, rest = entry.groups()
    return f"{click.style(time, dim=True)} {click.style(level, fg=_COLOURS[level])}{gap}{rest}"
