"""How long a failed load is not tried again on a client's behalf."""

from collections.abc import Callable

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 60.0


class LoadBackoff:
    """1, 2, 4 … 60 seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seconds = FIRST_SECONDS
        self._until = clock()

    def failed(self) -> None:
        self._until = self._clock() + self._seconds
        self._seconds = min(self._seconds * 2, LONGEST_SECONDS)

    def succeeded(self) -> None:
        self._seconds = FIRST_SECONDS

    @property
    def seconds_left(self) -> float:
        return max(0.0, self._until - self._clock())
