"""How quickly something comes, by what has come of it lately."""

from collections import deque

WINDOW_SECONDS = 10.0
# Before that it would be a guess.
_LEAST_SECONDS = 1.0


class PullRate:
    """Times are monotonic, in seconds."""

    def __init__(self) -> None:
        self._noted: deque[tuple[float, int]] = deque()

    def note(self, now: float, done_bytes: int) -> None:
        self._noted.append((now, done_bytes))
        self._forget(now)

    def bytes_per_second(self, now: float) -> int | None:
        """None: not known yet. It falls to 0 where nothing comes any more."""
        self._forget(now)
        if not self._noted or now - self._noted[0][0] < _LEAST_SECONDS:
            return None
        (since, before), (_, done) = self._noted[0], self._noted[-1]
        return max(0, round((done - before) / (now - since)))

    def _forget(self, now: float) -> None:
        """The last one before the window is where it begins."""
        while len(self._noted) > 1 and self._noted[1][0] <= now - WINDOW_SECONDS:
            self._noted.popleft()
