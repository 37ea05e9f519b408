"""A library's long call, one piece at a time: what it is given to call hands the thread back in between.

Greenlets, since MLX's arrays belong to a thread: all of it runs on the engine's.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

from greenlet import GreenletExit, getcurrent, greenlet

Result = TypeVar("Result")


class Stepwise(Generic[Result]):
    """`work` is given what it is to call between two pieces, and runs up to there in each `step`."""

    def __init__(self, work: Callable[[Callable[[], None]], Result]) -> None:
        self._greenlet = greenlet(lambda: work(self._pause))
        self._result: list[Result] = []

    def step(self) -> bool:
        """Whether it is done. Raises what the work does."""
        self._greenlet.parent = getcurrent()
        given = self._greenlet.switch()
        if not self._greenlet.dead:
            return False
        self._result = [given]
        return True

    @property
    def result(self) -> Result:
        """Once it is done."""
        return self._result[0]

    def close(self) -> None:
        """Give it up where it is: its frames go, and what they hold."""
        if self._greenlet and not self._greenlet.dead:
            self._greenlet.parent = getcurrent()
            self._greenlet.throw(GreenletExit)

    def _pause(self) -> None:
        parent = self._greenlet.parent
        assert parent is not None
        parent.switch()
