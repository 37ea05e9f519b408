"""A model's way into memory, past the limits of its hub: a seat, its turn, a reservation."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from loguru import logger

from mlxhub.core.config import LimitPlaces
from mlxhub.core.lifecycle import TURN_SECONDS
from mlxhub.core.limits import NO_LIMITS, HubLimits, refuse_full_group, refuse_short_memory
from mlxhub.core.memory import MemoryNeed
from mlxhub.errors import LimitsUnreadable, LoadNotBegun, LockTimeout, StateUnreadable
from mlxhub.files.ledger import Entry, Ledger
from mlxhub.files.limits import read_limits

_ASK_EVERY_SECONDS = 0.1


class Admission:
    """On the event loop, which waits for nothing here. Without `places` everything is admitted."""

    def __init__(
        self, name: str, places: LimitPlaces | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name = name
        self._file = None if places is None else Path(places.file)
        self._ledger = None if places is None else Ledger(Path(places.locks))
        self._clock = clock
        self._entry: Entry | None = None
        self._turn: int | None = None
        self._abandoned = False
        self.is_waiting = False
        # Known from the first time that it was measured.
        self.needed_bytes = 0
        # What a child that is only forked has of a lock would hold it for as long as that child lives.
        os.register_at_fork(after_in_child=self._let_go)

    @property
    def has_seat(self) -> bool:
        return self._entry is not None

    @property
    def reserved_bytes(self) -> int:
        return 0 if self._entry is None else self._entry.reserved_bytes

    async def take_seat(self) -> None:
        """Held until `give_back`. Raises LoadRefused."""
        if self._ledger is not None:
            await asyncio.to_thread(self._take_seat, self._ledger)

    @asynccontextmanager
    async def turn(self, need: MemoryNeed) -> AsyncIterator[None]:
        """Inside it nobody else loads, and the memory is reserved, until `give_back`. Raises LoadRefused."""
        self._refuse_abandoned()
        if self._ledger is None or self._entry is None:
            yield
            return
        self._turn = await self._pass_turnstile(self._ledger)
        try:
            await asyncio.to_thread(self._reserve, self._entry, need)
            yield
        finally:
            self._end_turn()

    def abandon(self) -> None:
        """A load whose turn has not come begins no more: LoadNotBegun."""
        self._abandoned = True

    def give_back(self) -> None:
        """After the unload, or a load that did not come to its end. A second time changes nothing."""
        self._abandoned = False
        entry, self._entry = self._entry, None
        if entry is not None:
            entry.give_back()

    def _let_go(self) -> None:
        self.give_back()
        self._end_turn()

    def _end_turn(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            os.close(turn)

    async def _pass_turnstile(self, ledger: Ledger) -> int:
        deadline = self._clock() + TURN_SECONDS
        self.is_waiting = True
        try:
            while (descriptor := await asyncio.to_thread(ledger.try_turnstile)) is None:
                self._refuse_abandoned()
                if self._clock() >= deadline:
                    raise LoadNotBegun(
                        self._name, f"other models have been loading for over {TURN_SECONDS:g} s."
                    )
                await asyncio.sleep(_ASK_EVERY_SECONDS)
        finally:
            self.is_waiting = False
        return descriptor

    def _refuse_abandoned(self) -> None:
        if self._abandoned:
            raise LoadNotBegun(self._name, "it was unloaded before its turn to be loaded came.")

    def _take_seat(self, ledger: Ledger) -> None:
        """Kept here by the thread itself: who awaits it may be gone by then."""
        with self._refusing():
            limits = self._limits()
            self._entry = ledger.take(
                self._name,
                lambda others: refuse_full_group(self._name, limits, [holder.name for holder in others]),
            )

    def _reserve(self, entry: Entry, need: MemoryNeed) -> None:
        with self._refusing():
            limits = self._limits()
            size = self.needed_bytes = limits.of(self._name).reserved_bytes or need.total_bytes
            entry.reserve(size, lambda others: refuse_short_memory(self._name, size, need, limits, others))

    def _limits(self) -> HubLimits:
        return NO_LIMITS if self._file is None else read_limits(self._file)

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        """What cannot be known is no permission."""
        try:
            yield
        except StateUnreadable as error:
            logger.error("{}", error)
            raise LimitsUnreadable(self._name) from error
        except LockTimeout as error:
            raise LoadNotBegun(self._name, "another process keeps the list of what is loaded.") from error
