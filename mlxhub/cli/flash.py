"""One line for every outcome, in the four tones that the dashboard uses too."""

import os
from enum import StrEnum

import click

from mlxhub.core.plain_text import harmless


class Tone(StrEnum):
    OK = "ok"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"


_COLOURS = {Tone.OK: "green", Tone.INFO: "blue", Tone.WARN: "yellow", Tone.ERROR: "red"}


def flash(tone: Tone, message: str, *, to_stderr: bool = False) -> None:
    """Errors and warnings go to stderr always; the rest too where stdout carries JSON."""
    is_error = to_stderr or tone in (Tone.WARN, Tone.ERROR)
    click.echo(toned(tone, harmless(message)), err=is_error, color=False if are_colours_off() else None)


def are_colours_off() -> bool:
    """Everywhere. Else it depends on whether a terminal is there."""
    return bool(os.environ.get("NO_COLOR"))


def toned(tone: Tone, message: str) -> str:
    """The line of it."""
    return f"{click.style(f'[{tone}]', fg=_COLOURS[tone])} {message}"
