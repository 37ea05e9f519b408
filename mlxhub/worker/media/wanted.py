"""Whether anybody still waits for what this thread decodes: whoever has left is not decoded for."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import TypeVar

Given = TypeVar("Given")
Result = TypeVar("Result")

_is_wanted: ContextVar[Callable[[], bool]] = ContextVar("is_wanted")


def while_wanted(is_wanted: Callable[[], bool], function: Callable[[Given], Result], given: Given) -> Result:
    """The function's result. What it decodes on its way ends early once `is_wanted` says no."""
    token = _is_wanted.set(is_wanted)
    try:
        return function(given)
    finally:
        _is_wanted.reset(token)


def is_wanted() -> bool:
    """True where nobody said anything of it."""
    said = _is_wanted.get(None)
    return said is None or said()
