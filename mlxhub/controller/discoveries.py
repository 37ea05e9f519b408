"""What was found on this machine's disks, looked for beside everything else."""

import asyncio
import time
from collections.abc import Callable

from loguru import logger

from mlxhub.errors import MlxhubError
from mlxhub.protocol.registry import DiscoveredList, DiscoveredView

# Of what was found so long ago a page that is opened asks for another look.
FRESH_SECONDS = 600.0


class Discoveries:
    """On the event loop. `discover` blocks."""

    def __init__(
        self,
        discover: Callable[[], DiscoveredList],
        tasks: asyncio.TaskGroup,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._discover = discover
        self._tasks = tasks
        self._wall_clock = wall_clock
        self._found = DiscoveredList(models=[], complete=False)
        self._scanned_at: float | None = None
        self._scanning: asyncio.Task[None] | None = None
        self._is_outdated = False
        self._error: str | None = None

    def view(self) -> DiscoveredView:
        """What is known now. Where that is old, another look begins."""
        if self._scanned_at is None or self._wall_clock() - self._scanned_at > FRESH_SECONDS:
            self.begin()
        return DiscoveredView(
            models=self._found.models,
            complete=self._found.complete,
            scanned_at=self._scanned_at,
            scanning=self._scanning is not None,
            error=self._error,
        )

    def begin(self) -> None:
        """One look at a time."""
        if self._scanning is None:
            self._scanning = self._tasks.create_task(self._scan())

    def begin_anew(self) -> None:
        """There is another one: one more look follows one that is under way and may have passed by."""
        self._is_outdated = True
        self.begin()

    def cancel(self) -> None:
        if self._scanning is not None:
            self._scanning.cancel()

    async def _scan(self) -> None:
        try:
            self._is_outdated = True
            while self._is_outdated:
                self._is_outdated = False
                self._found = await asyncio.to_thread(self._discover)
            self._error = None
        except (MlxhubError, OSError) as error:
            logger.warning("Looking for models failed: {}", error)
            self._error = str(error)
        finally:
            self._scanned_at = self._wall_clock()
            self._scanning = None
