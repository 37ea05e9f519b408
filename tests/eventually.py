"""Waiting for a fact, with a limit."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(fact: Callable[[], T], seconds: float = 10.0) -> T:
    """The first truthy answer; fails with the last one when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (found := fact()):
        assert time.monotonic() < deadline, f"not true within {seconds} s, at last {found!r}"
        time.sleep(0.02)
    return found
