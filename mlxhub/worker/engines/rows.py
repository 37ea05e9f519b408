"""Rows of tokens that a model continues, and what steps of it give; on the engine thread."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import mlx.core as mx
from mlx_lm.models.cache import make_prompt_cache

from mlxhub.errors import MlxhubError
from mlxhub.protocol.parts import SampledLogprob
from mlxhub.worker.engines.engine import FinishReason
from mlxhub.worker.engines.guarded_processors import GuardedProcessors
from mlxhub.worker.engines.logprobs import sampled_logprob
from mlxhub.worker.engines.memory_limits import MemoryLimits
from mlxhub.worker.engines.read_prompts import Read, State
from mlxhub.worker.engines.sampling import Sampler
from mlxhub.worker.engines.seen import Seen


@dataclass(frozen=True, slots=True)
class Row:
    """`tokens` are to be continued by up to `max_tokens`. `guard`: its logits processors, if it has any.

    At `boundaries` reading stops for a moment, so that what is known there can be kept. `top_logprobs`: how
    likely each token was is told, with so many of the likeliest; None: it is not told. `is_constrained`: its
    processors follow a grammar, and must see each token once, in order. `seen`: the prompt has pictures, and
    its `tokens` are the keys of that.
    """

    handle: int
    tokens: Sequence[int]
    max_tokens: int
    sampler: Sampler
    guard: GuardedProcessors | None = None
    top_logprobs: int | None = None
    boundaries: tuple[int, ...] = ()
    is_constrained: bool = False
    seen: Seen | None = None


@dataclass(frozen=True, slots=True)
class SampledToken:
    """`reason` where the row is over, and then `read`. `logprob` where it is to be told.

    `fault`: a processor of the row has failed, and what comes after this token means nothing.
    """

    handle: int
    token: int
    reason: FinishReason | None
    read: Read | None = None
    logprob: SampledLogprob | None = None
    fault: MlxhubError | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """`ready`: their prompts are done. `at_boundary`: those that have read up to one of their boundaries."""

    ready: Sequence[int] = ()
    at_boundary: Sequence[int] = ()
    sampled: Sequence[SampledToken] = ()


class Rows(Protocol):
    """All rows of a model that are being answered."""

    def insert(self, row: Row, known: Read | None = None) -> None:
        """`known`: the beginning of its tokens that need not be read. Its state is used up."""

    def next(self, chunk: int) -> Step:
        """One decode for all that have read their prompts, and of each other prompt up to `chunk` tokens."""

    def read(self, handles: Sequence[int]) -> dict[int, Read]:
        """What each has read by now, without those that have not begun.

        Only of rows at a boundary, and of those that are removed next.
        """

    def remove(self, handles: Sequence[int]) -> None:
        """In any stage, also what is over or was never there."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class KvBits:
    """How what a model has read is rounded: to so many bits, in groups that share a scale."""

    bits: int
    group_size: int


@dataclass(frozen=True, slots=True)
class Decodable:
    """A model as rows need it. `text_bytes`: of a token. `limits`: in force since its load."""

    model: Any
    end_tokens: frozenset[int]
    text_bytes: Callable[[int], bytes]
    limits: MemoryLimits
    kv_bits: KvBits | None = None

    def new_state(self) -> State:
        """Of a row that has read nothing."""
        state: State = make_prompt_cache(self.model)
        if self.kv_bits is None:
            return state
        bits, group_size = self.kv_bits.bits, self.kv_bits.group_size
        return [layer.to_quantized(group_size=group_size, bits=bits) for layer in state]

    def sampled(
        self, row: Row, token: int, logprobs: mx.array, reason: FinishReason | None, read: Read | None = None
    ) -> SampledToken:
        """`logprobs`: of the whole vocabulary, one axis."""
        logprob = None
        if row.top_logprobs is not None:
            logprob = sampled_logprob(logprobs, token, row.top_logprobs, self.text_bytes)
        # Processors are one token ahead: where the row is over, their fault no longer counts.
        fault = row.guard.fault if row.guard is not None and reason is None else None
        return SampledToken(row.handle, token, reason, read, logprob, fault)
