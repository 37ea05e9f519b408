"""How far a row's positions are from its count of tokens, as one more layer of what it has read.

Models that place the patches of a picture in two dimensions go on counting after its larger side, not after
its tokens. What a row has read, and with it this, is merged into batches and taken out of them by mlx-lm.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class ShiftedRow:
    """`steps`: after so many tokens, that shift; in their order."""

    size: int = 0
    steps: tuple[tuple[int, int], ...] = ()

    @property
    def shift(self) -> int:
        return next((shift for after, shift in reversed(self.steps) if after <= self.size), 0)


class PositionShift:
    """Has the methods of mlx-lm's caches, for one row or a batch of them."""

    def __init__(self, rows: Sequence[ShiftedRow] = (ShiftedRow(),)) -> None:
        self.rows = list(rows)
        self._padding: Sequence[int] | None = None

    @classmethod
    def after(cls, size: int, steps: Sequence[tuple[int, int]]) -> "PositionShift":
        """Of a row that has read so many tokens; `steps` as of ShiftedRow."""
        return cls([ShiftedRow(size, tuple(steps))])

    @property
    def shifts(self) -> list[int]:
        """Of the next token of each row."""
        return [row.shift for row in self.rows]

    def advance(self, tokens: int) -> None:
        """Each row has read so many more, with the padding that `prepare` told of."""
        self.rows = [replace(row, size=row.size + tokens) for row in self.rows]

    def prepare(self, *, right_padding: Sequence[int] | None = None, **_more: Any) -> None:
        self._padding = right_padding

    def finalize(self) -> None:
        padding, self._padding = self._padding, None
        if padding is not None:
            self.rows = [
                replace(row, size=row.size - most) for row, most in zip(self.rows, padding, strict=True)
            ]

    @classmethod
    def merge(cls, caches: Sequence["PositionShift"]) -> "PositionShift":
        return cls([row for cache in caches for row in cache.rows])

    def extend(self, other: "PositionShift") -> None:
        self.rows += other.rows

    def filter(self, keep: Any) -> None:
        self.rows = [self.rows[int(index)] for index in keep]

    def extract(self, index: int) -> "PositionShift":
        return PositionShift([self.rows[index]])

    def is_trimmable(self) -> bool:
        return True

    def trim(self, tokens: int) -> int:
        self.rows = [replace(row, size=row.size - tokens) for row in self.rows]
        return tokens

    @property
    def state(self) -> list[Any]:
        """Nothing that is to be computed."""
        return []

    @property
    def nbytes(self) -> int:
        return 0

    def empty(self) -> bool:
        return False

    def size(self) -> int:
        return max(row.size for row in self.rows)
