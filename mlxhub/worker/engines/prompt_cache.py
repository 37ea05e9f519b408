"""What is kept of prompts that were read before, and which of it serves a new one. Knows nothing of MLX."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T")
Tokens = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Kept(Generic[T]):
    """The state after these tokens. `cuttable`: it serves as well for any beginning of them."""

    tokens: Tokens
    state: T
    state_bytes: int
    cuttable: bool


@dataclass(frozen=True, slots=True)
class Hit(Generic[T]):
    """`state` after `length` tokens, the first of those asked for, is to be had from `kept`."""

    kept: Kept[T]
    length: int


class PromptCache(Generic[T]):
    """The least recently used go first, beyond a number of entries or of bytes.

    A list, not a tree of tokens: there are few entries, numpy compares a hundred thousand tokens in 30 µs,
    and a tree of Python's objects takes two hundred bytes for each of them that nobody counts.
    """

    def __init__(self, most_entries: int, most_bytes: int) -> None:
        self._most_entries = most_entries
        self._most_bytes = most_bytes
        self._entries: list[Kept[T]] = []  # the one used last comes last
        self.used_bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def entries(self) -> Sequence[Kept[T]]:
        """The one used last comes last."""
        return self._entries

    def find(self, tokens: Sequence[int]) -> Hit[T] | None:
        """What spares most of them. The last is never spared: from it the engine samples the first token."""
        asked = as_tokens(tokens)
        lengths = [_usable(kept, asked) for kept in self._entries]
        best = max(range(len(lengths)), key=lambda place: (lengths[place], place), default=None)
        if best is None or lengths[best] == 0:
            return None
        kept = self._entries.pop(best)
        self._entries.append(kept)
        return Hit(kept, lengths[best])

    def keep(self, kept: Kept[T]) -> None:
        """What it makes superfluous goes: the earlier turns of the same conversation."""
        if self._most_entries == 0 or _size(kept) > self._most_bytes:
            return
        self._entries = [entry for entry in self._entries if not _covers(kept, entry)]
        self._entries.append(kept)
        self.used_bytes = sum(map(_size, self._entries))
        while len(self._entries) > self._most_entries or self.used_bytes > self._most_bytes:
            self.used_bytes -= _size(self._entries.pop(0))

    def forget(self, kept: Kept[T]) -> None:
        self._entries = [entry for entry in self._entries if entry is not kept]
        self.used_bytes = sum(map(_size, self._entries))


def as_tokens(tokens: Sequence[int]) -> Tokens:
    return np.frombuffer(array("i", tokens), np.int32)


def _size(kept: Kept[T]) -> int:
    return kept.state_bytes + kept.tokens.nbytes


def _usable(kept: Kept[T], asked: Tokens) -> int:
    shared = min(_shared(kept.tokens, asked), max(0, len(asked) - 1))
    return shared if kept.cuttable or shared == len(kept.tokens) else 0


def _covers(new: Kept[T], old: Kept[T]) -> bool:
    """Whether all that `old` serves, `new` serves too."""
    begins = _shared(new.tokens, old.tokens) == len(old.tokens)
    return begins and (new.cuttable or len(new.tokens) == len(old.tokens))


def _shared(one: Tokens, other: Tokens) -> int:
    """How many of the first tokens are the same."""
    length = min(len(one), len(other))
    differ = np.flatnonzero(one[:length] != other[:length])
    return int(differ[0]) if len(differ) else length
