"""Alive is not healthy: notices a step or a load of the engine that neither ends nor fails."""

import asyncio
import time
from collections.abc import Callable

from loguru import logger

from mlxhub.core.lifecycle import TURN_SECONDS
from mlxhub.worker.engine_thread import EngineThread

WEDGED_SECONDS = 30.0
LOOK_SECONDS = 5.0


class Watchdog:
    """Counts only time in which this process ran.

    After a sleep of the machine, or a stop by SIGSTOP, the engine has not had its time, whatever clocks say.
    """

    def __init__(
        self,
        thread: EngineThread,
        clock: Callable[[], float] = time.monotonic,
        *,
        wedged_seconds: float = WEDGED_SECONDS,
        load_seconds: float = TURN_SECONDS,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._thread = thread
        self._clock = clock
        self._wedged_seconds = wedged_seconds
        self._load_seconds = load_seconds
        self._look_seconds = look_seconds
        self._work: int | None = None
        self.stalled_seconds = 0.0

    @property
    def is_wedged(self) -> bool:
        if self._thread.is_loading:
            return self.stalled_seconds >= self._load_seconds
        return self.stalled_seconds >= max(self._wedged_seconds, self._thread.longest_step_seconds)

    async def watch(self, on_wedged: Callable[[str], None]) -> None:
        """Ends after it has raised the alarm once."""
        looked_at = self._clock()
        while not self.is_wedged:
            await asyncio.sleep(self._look_seconds)
            now = self._clock()
            self._look(min(now - looked_at, 2 * self._look_seconds))
            looked_at = now
        what = "a load" if self._thread.is_loading else "one step"
        logger.error(
            "The engine has been at {} for {:.0f} s:\n{}", what, self.stalled_seconds, self._thread.stack()
        )
        on_wedged(f"the engine has been at {what} for {self.stalled_seconds:.0f} s.")

    def _look(self, passed_seconds: float) -> None:
        work = self._thread.working_at
        is_same = work is not None and work == self._work
        self.stalled_seconds = self.stalled_seconds + passed_seconds if is_same else 0.0
        self._work = work
