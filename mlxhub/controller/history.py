"""What each model did in the last hour, for charts: from the observer's looks, in memory only."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from mlxhub.fleet.facts import ModelFacts
from mlxhub.protocol.hub import HistoryPoint, ModelHistory

POINT_SECONDS = 15
KEPT_POINTS = 240


@dataclass(slots=True)
class _Point:
    """`number`: Unix time in units of POINT_SECONDS. The most of requests, the last of memory."""

    number: int
    tokens: int = 0
    in_flight: int = 0
    queued: int = 0
    memory_bytes: int = 0


class History:
    def __init__(self, wall_clock: Callable[[], float] = time.time) -> None:
        self._wall_clock = wall_clock
        self._points: dict[str, deque[_Point]] = {}

    def on_look(self, name: str, last: ModelFacts | None, facts: ModelFacts, _began: float) -> None:
        """A listener of the observer. Of a model that is silent there is no point."""
        worker = facts.worker
        if worker is None or facts.silent:
            return
        point = self._point(name)
        before = None if last is None else last.worker
        if before is not None and before.pid == worker.pid:
            point.tokens += max(0, worker.counters.completion_tokens - before.counters.completion_tokens)
        point.in_flight = max(point.in_flight, worker.in_flight)
        point.queued = max(point.queued, worker.queued)
        point.memory_bytes = worker.memory.footprint_bytes

    def of(self, name: str) -> ModelHistory:
        """The oldest first, none of them older than an hour."""
        oldest = self._number() - KEPT_POINTS
        return ModelHistory(
            name=name,
            seconds=POINT_SECONDS,
            points=[
                HistoryPoint(
                    at=point.number * POINT_SECONDS,
                    tokens_per_second=round(point.tokens / POINT_SECONDS, 2),
                    in_flight=point.in_flight,
                    queued=point.queued,
                    memory_bytes=point.memory_bytes,
                )
                for point in self._points.get(name, ())
                if point.number > oldest
            ],
        )

    def _point(self, name: str) -> _Point:
        points = self._points.setdefault(name, deque(maxlen=KEPT_POINTS))
        number = self._number()
        if not points or points[-1].number != number:
            points.append(_Point(number))
        return points[-1]

    def _number(self) -> int:
        return int(self._wall_clock() // POINT_SECONDS)
