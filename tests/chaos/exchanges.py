"""What clients saw while processes were killed, and which of it must never be seen: pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

# However often something is killed, whoever asks is told something within this.
ANSWER_SECONDS = 45.0
CONTROLLER = "controller"
# What a hub with all its processes may answer too: there is no place for this model now.
_NO_PLACE = frozenset({"group_capacity_exceeded", "insufficient_memory", "queue_full"})
_COME_AGAIN = frozenset({429, 503})


class Way(StrEnum):
    """To whom the client spoke."""

    CONTROLLER = "controller"
    WORKER = "worker"


@dataclass(frozen=True, slots=True)
class Death:
    """`program` was killed at `at`, and served again at `back_at`; None: not yet. All times are monotonic."""

    program: str
    at: float
    back_at: float | None = None

    def overlaps(self, exchange: "Exchange") -> bool:
        return self.at <= exchange.ended and (self.back_at is None or exchange.began <= self.back_at)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and all that came of it.

    `words` are what an echo has to say, `said` is what came of that. `done`: a stream's own end was there.
    `error`: the code of an error, whole or as an event. `lost`: how the connection ended before the answer
    did. `after_end`: what came after a stream's end or its error event.
    """

    model: str
    way: Way
    stream: bool
    words: str
    began: float
    ended: float
    status: int | None = None
    said: str = ""
    done: bool = False
    error: str | None = None
    retry_after: str | None = None
    lost: str | None = None
    after_end: list[str] = field(default_factory=list)

    @property
    def is_right(self) -> bool:
        whole = self.done or not self.stream
        return self.status == 200 and whole and self.said == self.words and self.error is self.lost is None


def fault_of(exchange: Exchange, deaths: Sequence[Death]) -> str | None:
    """What must not have happened; None: all is well.

    1. It takes no longer than ANSWER_SECONDS.
    2. What was said is the answer or, of what ended early and says so, its beginning.
    3. After its end, or its error, a stream says nothing.
    4. The connection ends early only where the program died that it leads to.
    5. An error is told only while the model's own worker is dead, or says that there is no place for it. One
       of 429 and 503 says when to come again.
    6. Whatever has none of these ends is whole.
    """
    near = {death.program for death in deaths if death.overlaps(exchange)}
    # 1
    if exchange.ended - exchange.began > ANSWER_SECONDS:
        return "it took too long"
    # 2
    if not exchange.words.startswith(exchange.said):
        return f"it said {exchange.said!r}"
    # 3
    if exchange.after_end:
        return f"after its end came {exchange.after_end}"
    # 4
    if exchange.lost is not None:
        program = CONTROLLER if exchange.way is Way.CONTROLLER else exchange.model
        return None if program in near else f"the connection was lost, and {program} was alive"
    # 5
    if exchange.error is not None:
        return _fault_of_error(exchange, exchange.error, near)
    # 6
    return None if exchange.is_right else "it looks whole and is not"


def _fault_of_error(exchange: Exchange, code: str, near: set[str]) -> str | None:
    if exchange.done:
        return f"{code} and an end that looks good"
    if exchange.status in _COME_AGAIN and not (exchange.retry_after or "").isdecimal():
        return f"{exchange.status} without the time when to come again"
    if code in _NO_PLACE:
        return None
    if exchange.status not in {200, 502, 503}:
        return f"{exchange.status} {code}"
    return None if exchange.model in near else f"{code}, and its worker was alive"
