"""One client's request while it is served: its rows, what they have said, and how it ends early."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from mlxhub.errors import MlxhubError
from mlxhub.refusals import QueueTimeout
from mlxhub.worker.engines.engine import (
    Completed,
    Delta,
    Failed,
    Finished,
    LoadedModel,
    Piece,
    Prepared,
    PreparedRequest,
    Started,
)


class Generation:
    """Filled by the engine thread's deliveries on the event loop, emptied by the route."""

    def __init__(self, handles: range, answers: int) -> None:
        """`answers` rows that follow each other answer the same prompt."""
        self.handles = handles
        self._answers = answers
        self.open = set(handles)
        self.completion_tokens = 0
        self.prepared: Sequence[Prepared] = ()
        self.model: LoadedModel | None = None
        self._cached_tokens: dict[int, int] = {}
        self._arrived: list[Delta] = []
        self._loop = asyncio.get_running_loop()
        self._wake: asyncio.Future[None] | None = None
        self._error: asyncio.Future[MlxhubError] = self._loop.create_future()

    def row(self, handle: int) -> int:
        return handle - self.handles.start

    @property
    def prompts(self) -> Sequence[PreparedRequest]:
        """Of each row, where text is generated."""
        return [prepared for prepared in self.prepared if isinstance(prepared, PreparedRequest)]

    @property
    def cached_tokens(self) -> int:
        """Of the prompts, each counted once, though several rows may answer it."""
        return sum(self._cached_tokens.get(handle, 0) for handle in self.handles[:: self._answers])

    @property
    def has_more(self) -> bool:
        """Whether anything was said that was not taken, or may still be said."""
        return bool(self.open or self._arrived)

    def deliver(self, delta: Delta) -> None:
        match delta:
            case Started():
                self._cached_tokens[delta.handle] = delta.cached_tokens
            case Piece():
                self.completion_tokens += 1
            case Finished():
                self.completion_tokens += 1
                self.open.discard(delta.handle)
            case Completed():
                self.open.discard(delta.handle)
            case Failed():
                self.open.discard(delta.handle)
                self.fail(delta.error)
        self._arrived.append(delta)
        self._awake()

    def fail(self, error: MlxhubError) -> None:
        """End it with this error, whatever it waits for."""
        if not self._error.done():
            self._error.set_result(error)
        self._awake()

    @property
    def failure(self) -> MlxhubError | None:
        return self._error.result() if self._error.done() else None

    def on_failure(self, break_off: Callable[[], None]) -> None:
        """It is called when `fail` is, for who waits elsewhere."""
        self._error.add_done_callback(lambda _: break_off())

    async def take(self) -> list[Delta]:
        """All that has arrived since the last time, at least something. Slow clients get larger helpings."""
        await self._something()
        arrived, self._arrived = self._arrived, []
        return arrived

    async def place(self, seconds: float) -> None:
        """Wait for the first row's place in the batch. Raises QueueTimeout."""
        try:
            async with asyncio.timeout(seconds):
                await self._something()
        except TimeoutError:
            raise QueueTimeout(seconds) from None

    async def until(self, transition: "asyncio.Future[Any]") -> None:
        """Wait for its end, however it ends and without ending it, unless `fail` comes first."""
        await asyncio.wait({transition, self._error}, return_when=asyncio.FIRST_COMPLETED)
        if self._error.done():
            raise self._error.result()

    async def _something(self) -> None:
        while not self._arrived and not self._error.done():
            self._wake = self._loop.create_future()
            await self._wake
        if self._error.done():
            raise self._error.result()

    def _awake(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
