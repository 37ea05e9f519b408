"""One run of a thing for all who wait for it."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from loguru import logger

from mlxhub.errors import MlxhubError

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """A run goes on when those who wait for it leave: half a start helps nobody."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self._tasks = tasks
        self._flights: dict[Hashable, tuple[asyncio.Task[None], asyncio.Future[T]]] = {}

    async def run(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        """The result, or the error, of the run under way with this key; else of a new one."""
        if key in self._flights:
            result = self._flights[key][1]
        else:
            result = asyncio.get_running_loop().create_future()
            task = self._tasks.create_task(self._carry_out(key, work, result))
            self._flights[key] = (task, result)
        return await asyncio.shield(result)

    def cancel(self) -> None:
        """The process ends: whoever waits is cancelled too."""
        for task, _ in self._flights.values():
            task.cancel()

    async def _carry_out(
        self, key: Hashable, work: Callable[[], Awaitable[T]], result: asyncio.Future[T]
    ) -> None:
        try:
            value = await work()
        except Exception as error:  # noqa: BLE001  the top of a background task
            if not isinstance(error, MlxhubError):
                logger.exception("Unexpected error in a run of {}", key)
            result.set_exception(error)
            # All who waited may have left; asyncio would log the error as one that nobody saw.
            result.exception()
        except BaseException:
            result.cancel()
            raise
        else:
            result.set_result(value)
        finally:
            del self._flights[key]
