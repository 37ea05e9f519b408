"""How much room the logs of a hub may take, and which of them go first when it is used up."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

HUB_BYTES = 500_000_000
# A hub of a few models is held by these; in a larger one each gets its share of what all may have.
LOG_BYTES = 25_000_000
LAST_WORDS_BYTES = 10_000_000
_KEPT_LAST_WORDS_BYTES = 1_000_000
# Small enough that files which grew large in a small hub and the shares of a hub that has become large since
# fit into HUB_BYTES together.
_ALL_LOGS_BYTES = 180_000_000
_ALL_LAST_WORDS_BYTES = 50_000_000


@dataclass(frozen=True, slots=True)
class RotatedLog:
    """`written_at`: when its last line was written, Unix seconds."""

    path: str
    size: int
    written_at: float


def log_limit(programs: int) -> int:
    """Bytes at which a log is rotated, where so many programs have one."""
    return min(LOG_BYTES, _ALL_LOGS_BYTES // max(1, programs))


def last_words_limit(programs: int) -> int:
    """Bytes at which what launchd keeps of stdout and stderr is cut."""
    return min(LAST_WORDS_BYTES, _ALL_LAST_WORDS_BYTES // max(1, programs))


def kept_last_words(programs: int) -> int:
    """Bytes that a cut leaves, of the end."""
    return min(_KEPT_LAST_WORDS_BYTES, last_words_limit(programs) // 10)


def logs_to_drop(
    rotated: Iterable[RotatedLog], *, logs: Sequence[int], last_words: Sequence[int]
) -> list[RotatedLog]:
    """The oldest, until everything fits and still does when each file has grown to its limit.

    `logs` and `last_words` are the sizes of the files that are being written.
    """
    programs = max(len(logs), len(last_words))
    each = last_words_limit(programs)
    reserved = sum(max(size, log_limit(programs)) for size in logs)
    reserved += sum(max(size, each) + kept_last_words(programs) for size in last_words)
    oldest_first = sorted(rotated, key=lambda log: (log.written_at, log.path))
    excess = reserved + sum(log.size for log in oldest_first) - HUB_BYTES
    drop = []
    for log in oldest_first:
        if excess <= 0:
            break
        drop.append(log)
        excess -= log.size
    return drop
