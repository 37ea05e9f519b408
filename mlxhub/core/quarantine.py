"""Requests that were being served when their process died, and when one of them is not taken any more."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

DEATHS_TO_REFUSE = 2
QUARANTINE_SECONDS = 600.0
# With thousands in flight when it died, the latest do.
MOST_SUSPECTS = 1000


@dataclass(frozen=True, slots=True)
class Suspect:
    """`digest`: of the request, whose content is not kept. `last_at`: Unix time of the last of its `deaths`.

    Unix, since what survives a restart of the machine has no other clock.
    """

    digest: str
    deaths: int
    last_at: float


def with_death(suspects: Sequence[Suspect], in_flight: Iterable[str], now: float) -> tuple[Suspect, ...]:
    """After a death with these in flight, which was noticed at the Unix time `now`."""
    known = {suspect.digest: suspect for suspect in suspects if _is_fresh(suspect, now)}
    for digest in in_flight:
        before = known.pop(digest, None)
        known[digest] = Suspect(digest, 1 if before is None else before.deaths + 1, now)
    return tuple(known.values())[-MOST_SUSPECTS:]


def without(suspects: Sequence[Suspect], digest: str) -> tuple[Suspect, ...]:
    """After an answer to this one came to its end: what it was in flight with is to blame."""
    return tuple(suspect for suspect in suspects if suspect.digest != digest)


def is_suspect(suspects: Sequence[Suspect], digest: str, now: float) -> bool:
    """Whether it must be alone among suspects, so that the next death tells which of them it is."""
    return any(suspect.digest == digest and _is_fresh(suspect, now) for suspect in suspects)


def refused_seconds(suspects: Sequence[Suspect], digest: str, now: float) -> float | None:
    """For how long it is still refused; None: it is not."""
    for suspect in suspects:
        if suspect.digest == digest and suspect.deaths >= DEATHS_TO_REFUSE and _is_fresh(suspect, now):
            return suspect.last_at + QUARANTINE_SECONDS - now
    return None


def _is_fresh(suspect: Suspect, now: float) -> bool:
    """Times that lie ahead, after a clock was set back, count for nothing."""
    return 0 <= now - suspect.last_at < QUARANTINE_SECONDS
