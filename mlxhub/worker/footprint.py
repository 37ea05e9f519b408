"""How much memory this process takes: now, at most, and what an unload has left behind."""

import asyncio
import time
from collections.abc import Callable

from mlxhub.core.memory import left_behind

SAMPLE_SECONDS = 1.0
# A system counts what was freed after a moment; on a Mac half a second was seen.
BACK_SECONDS = 5.0
_LOOK_SECONDS = 0.1


class Footprint:
    """On the event loop. `read` tells it in bytes, in microseconds; `note` is given each sample."""

    def __init__(
        self,
        read: Callable[[], int],
        note: Callable[[int], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._note = note
        self._clock = clock
        self.peak_bytes = 0
        self._before_bytes = 0
        self._has_unloaded = False

    def now(self) -> int:
        footprint = self._read()
        self.peak_bytes = max(self.peak_bytes, footprint)
        return footprint

    async def watch(self) -> None:
        """Until cancelled."""
        while True:
            self._note(self.now())
            await asyncio.sleep(SAMPLE_SECONDS)

    def begin_load(self) -> None:
        """The peak is that of this load. What the first unload was allowed to leave, no other one is."""
        if not self._has_unloaded:
            self._before_bytes = self._read()
        self.peak_bytes = 0
        self.now()

    async def left_behind(self) -> int:
        """After an unload, as of `core.memory.left_behind`; waits while it is more than nothing."""
        deadline = self._clock() + BACK_SECONDS
        while left := left_behind(
            self._before_bytes, self.peak_bytes, self._read(), is_first=not self._has_unloaded
        ):
            if self._clock() >= deadline:
                return left
            await asyncio.sleep(_LOOK_SECONDS)
        if not self._has_unloaded:
            self._has_unloaded, self._before_bytes = True, self._read()
        return 0
