"""The requests a worker has taken and not finished: who owns which row, and who holds the model."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from mlxhub.errors import MlxhubError
from mlxhub.worker.engines.engine import Delta
from mlxhub.worker.generation import Generation


class InFlight:
    """On the event loop alone. `cancel_row` tells the engine to forget a row."""

    def __init__(self, cancel_row: Callable[[int], None]) -> None:
        self._cancel_row = cancel_row
        self._next_handle = 0
        self._generations: set[Generation] = set()
        self._holders: set[Generation] = set()
        self._owner_of: dict[int, Generation] = {}
        self._released = asyncio.Event()

    @property
    def requests(self) -> int:
        return len(self._generations)

    @property
    def rows(self) -> int:
        return len(self._owner_of)

    def add(self, rows: int, answers: int = 1) -> Generation:
        """As of Generation."""
        generation = Generation(range(self._next_handle, self._next_handle + rows), answers)
        self._next_handle += rows
        self._generations.add(generation)
        self._owner_of.update(dict.fromkeys(generation.handles, generation))
        return generation

    def hold_model(self, generation: Generation) -> None:
        """From now until it is removed the model must not be unloaded under it."""
        self._holders.add(generation)

    def remove(self, generation: Generation) -> None:
        for handle in generation.open:
            self._cancel_row(handle)
        for handle in generation.handles:
            del self._owner_of[handle]
        self._generations.discard(generation)
        self._holders.discard(generation)
        self._released.set()

    def deliver(self, deltas: Sequence[Delta]) -> None:
        """What the engine says of rows whose client has left meanwhile is nobody's."""
        for delta in deltas:
            if owner := self._owner_of.get(delta.handle):
                owner.deliver(delta)

    def fail_all(self, error: MlxhubError) -> None:
        self._fail(self._generations, error)

    def fail_holders(self, error: MlxhubError) -> None:
        self._fail(self._holders, error)

    async def until_model_is_free(self, seconds: float) -> None:
        """Until nobody holds it, or the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._holders:
                    self._released.clear()
                    await self._released.wait()

    def _fail(self, generations: set[Generation], error: MlxhubError) -> None:
        for generation in generations:
            for handle in generation.open:
                self._cancel_row(handle)
            generation.fail(error)
