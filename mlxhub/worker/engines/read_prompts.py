"""What a model has in memory of prompts it read: taken out of a batch, kept, and begun with again."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import mlx.core as mx
from mlx_lm.models.cache import (
    CacheList,
    KVCache,
    QuantizedKVCache,
    RotatingKVCache,
    make_prompt_cache,
    trim_prompt_cache,
)

from mlxhub.worker.engines.position_shift import PositionShift
from mlxhub.worker.engines.prompt_cache import Kept, PromptCache, as_tokens
from mlxhub.worker.engines.stored_prompts import StoredPrompts

# One of mlx-lm's caches for each layer.
State: TypeAlias = list[Any]
# To read fewer again costs less than to keep them.
FEWEST_TOKENS = 32
# Whoever waits for an unload, or for the end of the process, waits for it.
STORING_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class Read:
    """`tokens` have been read, and `state` is what is known after them."""

    tokens: Sequence[int]
    state: State


class ReadPrompts:
    """On the engine thread."""

    def __init__(self, most_entries: int, most_bytes: int, stored: StoredPrompts | None = None) -> None:
        """`stored`: in files, from earlier."""
        self._cache: PromptCache[State] = PromptCache(most_entries, most_bytes)
        self._stored = stored

    def __len__(self) -> int:
        return len(self._cache)

    @property
    def used_bytes(self) -> int:
        return self._cache.used_bytes

    def find(self, tokens: Sequence[int]) -> Read | None:
        """The longest beginning of them that is known, never all of them. Whoever gets it may write to it."""
        hit = self._cache.find(tokens)
        beyond = FEWEST_TOKENS + (0 if hit is None else hit.length)
        if self._stored is not None and (kept := self._stored.find(tokens, beyond)) is not None:
            self._cache.keep(kept)
            hit = self._cache.find(tokens)
        if hit is None or hit.length < FEWEST_TOKENS:
            return None
        state: State = copy.deepcopy(hit.kept.state)
        if surplus := len(hit.kept.tokens) - hit.length:
            trim_prompt_cache(state, surplus)
        return Read(tokens[: hit.length], state)

    def store(self) -> None:
        """Into files what is not there yet, if there are any."""
        if self._stored is not None:
            self._stored.store(self._cache.entries, STORING_SECONDS)

    def keep(self, read: Read) -> None:
        if len(read.tokens) < FEWEST_TOKENS:
            return
        # Until it is computed it holds on to the whole batch that it was taken from.
        mx.eval([layer.state for layer in read.state])
        self._cache.keep(
            Kept(
                as_tokens(read.tokens),
                read.state,
                state_bytes=sum(layer.nbytes for layer in read.state),
                cuttable=all(map(_is_cuttable, read.state)),
            )
        )


def is_always_cuttable(model: Any) -> bool:
    """Whether each beginning of what it has read can be had from the whole, at any length."""
    return all(type(layer) in (KVCache, PositionShift) for layer in make_prompt_cache(model))


def _is_cuttable(layer: Any) -> bool:
    """Not where it forgets or sums up: sliding windows that are full, recurrences. mlx-lm's own word is not
    enough: its chunked caches say that they can be trimmed when they cannot any more, and its concatenated
    ones go wrong after it.
    """
    if isinstance(layer, CacheList):
        return all(map(_is_cuttable, layer.caches))
    is_known = isinstance(layer, KVCache | QuantizedKVCache | RotatingKVCache | PositionShift)
    return is_known and bool(layer.is_trimmable())
