"""The last events of a hub, in order, for whoever follows them."""

import asyncio
import secrets
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import asdict
from typing import Protocol

from loguru import logger

from mlxhub.fleet.happenings import LOAD_FAILED, OPERATION_BEGAN, PULL_CAME, Happening
from mlxhub.protocol.hub import EVENTS_MISSED, HubEvent

KEPT_EVENTS = 1000


class EventSink(Protocol):
    """Gets each event on the event loop, and returns at once."""

    def __call__(self, event: HubEvent) -> None: ...


class EventLog:
    """On the event loop. Followers that fall behind what is kept are told that they missed something."""

    def __init__(
        self,
        sinks: Iterable[EventSink] = (),
        wall_clock: Callable[[], float] = time.time,
        kept_events: int = KEPT_EVENTS,
    ) -> None:
        # Numbers begin anew with each controller: another one's must not be taken for this one's.
        self._life = secrets.token_hex(4)
        self._sinks = tuple(sinks)
        self._wall_clock = wall_clock
        self._kept: deque[HubEvent] = deque(maxlen=kept_events)
        self._sequence = 0
        self._changed = asyncio.Event()
        self._closed = False

    def emit(self, happening: Happening) -> None:
        self._sequence += 1
        event = HubEvent(
            id=f"{self._life}-{self._sequence}",
            sequence=self._sequence,
            at=round(self._wall_clock(), 3),
            **asdict(happening),
        )
        self._kept.append(event)
        for sink in self._sinks:
            sink(event)
        self._wake()

    def close(self) -> None:
        """Who follows is told what has happened so far, and no more."""
        self._closed = True
        self._wake()

    @property
    def is_closed(self) -> bool:
        return self._closed

    async def events(self, after: str | None, *, follow: bool) -> AsyncGenerator[HubEvent, None]:
        """Those after the one with this id, else all that are kept; with `follow` also those to come."""
        known = self._sequence_of(after)
        if after is not None and known is None:
            yield self._missed(after)
        seen = known or 0
        while True:
            changed = self._changed
            if self._kept and self._kept[0].sequence > seen + 1 and seen > 0:
                yield self._missed(f"{self._life}-{seen}")
            for event in [event for event in self._kept if event.sequence > seen]:
                seen = event.sequence
                yield event
            if seen >= self._sequence:
                if self._closed or not follow:
                    return
                await changed.wait()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _sequence_of(self, event_id: str | None) -> int | None:
        """None where it is not, or no longer, known."""
        life, _, number = (event_id or "").partition("-")
        if life != self._life or not (number.isascii() and number.isdigit()):
            return None
        sequence = int(number)
        return sequence if sequence <= self._sequence else None

    def _missed(self, after: str) -> HubEvent:
        message = f"What happened after event {after} is not known in full: read /hub/status."
        return HubEvent(
            id=f"{self._life}-0",
            sequence=0,
            at=round(self._wall_clock(), 3),
            kind=EVENTS_MISSED,
            message=message,
        )


def log_event(event: HubEvent) -> None:
    """The sink that is the controller's own log; what comes of an operation or a pull is told there once."""
    if event.kind in (OPERATION_BEGAN, PULL_CAME):
        return
    logger.log("ERROR" if event.kind == LOAD_FAILED else "INFO", "{}", event.message)
