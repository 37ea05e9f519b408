"""Which texts go through a model together: alike in length, and of every request in turn."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

# Whose it is, and which of that request's texts.
Chosen: TypeAlias = tuple[int, int]


@dataclass(slots=True)
class _Left:
    """Of a request: lengths and indices of the texts that are still to be done, the shortest first."""

    texts: list[tuple[int, int]] = field(default_factory=list)


class TextBatches:
    """The texts of all requests that are being answered."""

    def __init__(self, budget: int) -> None:
        """`budget`: tokens in one batch, with the padding up to its longest text, which may be alone."""
        self._budget = budget
        self._left: dict[int, _Left] = {}

    def add(self, handle: int, lengths: Iterable[int]) -> None:
        """At least one length."""
        self._left[handle] = _Left(sorted((length, index) for index, length in enumerate(lengths)))

    def remove(self, handle: int) -> None:
        self._left.pop(handle, None)

    def clear(self) -> None:
        self._left.clear()

    def is_done(self, handle: int) -> bool:
        return handle not in self._left

    def next(self) -> list[Chosen]:
        """The longest text of who waits longest for a turn, and what fits beside it; none where none is left.

        So a request waits for one batch of each other one at most, however many texts that has.
        """
        if not self._left:
            return []
        head = next(iter(self._left))
        longest, index = self._left[head].texts.pop()
        chosen = [(head, index)]
        for handle, left in self._left.items():
            while (len(chosen) + 1) * longest <= self._budget:
                place = bisect_right(left.texts, longest, key=lambda text: text[0])
                if place == 0:
                    break
                chosen.append((handle, left.texts.pop(place - 1)[1]))
        self._left[head] = self._left.pop(head)
        for handle in [handle for handle, left in self._left.items() if not left.texts]:
            del self._left[handle]
        return chosen
