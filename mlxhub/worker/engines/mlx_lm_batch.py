"""mlx-lm's BatchGenerator, on the engine thread."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import mlx.core as mx

from mlxhub.errors import MlxhubError
from mlxhub.protocol.parts import SampledLogprob
from mlxhub.worker.engines.engine import FinishReason, PreparedRequest
from mlxhub.worker.engines.guarded_processors import GuardedProcessors
from mlxhub.worker.engines.logprobs import sampled_logprob
from mlxhub.worker.engines.read_prompts import Read
from mlxhub.worker.engines.sampling import Samplers, processors


@dataclass(frozen=True, slots=True)
class SampledToken:
    """`reason` where the row is over, and then `read`. `logprob` where it is to be told.

    `fault`: a processor of the row has failed, and what comes after this token means nothing.
    """

    uid: int
    token: int
    reason: FinishReason | None
    read: Read | None = None
    logprob: SampledLogprob | None = None
    fault: MlxhubError | None = None


@dataclass(frozen=True, slots=True)
class BatchStep:
    """`ready`: their prompts are done. `at_boundary`: those that have read up to one of their boundaries."""

    ready: list[int]
    at_boundary: list[int]
    sampled: list[SampledToken]


class Batch:
    """Continuous batching over BatchGenerator, with one prefill chunk and one decode in each `next`."""

    def __init__(self, generator: Any, samplers: Samplers, text_bytes: Callable[[int], bytes]) -> None:
        """`text_bytes` of a token."""
        self._generator = generator
        self._samplers = samplers
        self._text_bytes = text_bytes
        self._top_logprobs: dict[int, int] = {}
        self._guards: dict[int, GuardedProcessors] = {}

    def insert(self, request: PreparedRequest, known: Read | None = None) -> int:
        """`known`: the beginning of its tokens that need not be read. Its state is used up."""
        length = 0 if known is None else len(known.tokens)
        guard = _guarded(request)
        uids: list[int] = self._generator.insert_segments(
            [_segments(request, length)],
            max_tokens=[request.max_tokens],
            caches=None if known is None else [known.state],
            all_tokens=[list(request.tokens[:length])],
            samplers=[self._samplers.sampler(request.sampling)],
            logits_processors=[[] if guard is None else [guard]],
        )
        if guard is not None:
            self._guards[uids[0]] = guard
        if request.top_logprobs is not None:
            self._top_logprobs[uids[0]] = request.top_logprobs
        return uids[0]

    def next(self) -> BatchStep:
        prompts, generated = self._generator.next()
        return BatchStep(
            ready=[prompt.uid for prompt in prompts if prompt.end_of_prompt],
            at_boundary=[
                prompt.uid for prompt in prompts if prompt.end_of_segment and not prompt.end_of_prompt
            ],
            sampled=[self._sampled(row) for row in generated],
        )

    def read(self, uids: Sequence[int]) -> dict[int, Read]:
        """What each has read by now, without those that have not begun."""
        with mx.stream(self._generator.stream):
            taken = self._generator.extract_cache(uids)
        return {uid: Read(tuple(tokens), state) for uid, (state, tokens) in taken.items() if tokens}

    def remove(self, uids: Sequence[int]) -> None:
        self._generator.remove(list(uids))
        for uid in uids:
            self._top_logprobs.pop(uid, None)
            self._guards.pop(uid, None)

    def close(self) -> None:
        self._generator.close()

    def _sampled(self, row: Any) -> SampledToken:
        logprob = None
        if (top := self._top_logprobs.get(row.uid)) is not None:
            logprob = sampled_logprob(row.logprobs, row.token, top, self._text_bytes)
        if row.finish_reason is None:
            fault = None if (guard := self._guards.get(row.uid)) is None else guard.fault
            return SampledToken(row.uid, row.token, None, None, logprob, fault)
        # Processors are one token ahead: where the row is over, their fault no longer counts.
        self._guards.pop(row.uid, None)
        self._top_logprobs.pop(row.uid, None)
        read = Read(tuple(row.all_tokens), row.prompt_cache)
        return SampledToken(row.uid, row.token, FinishReason(row.finish_reason), read, logprob)


def _guarded(request: PreparedRequest) -> GuardedProcessors | None:
    chain = processors(request.sampling, len(request.tokens))
    if request.grammar is not None:
        chain.append(request.grammar.new_processor())
    return GuardedProcessors(chain) if chain else None


def _segments(request: PreparedRequest, begin: int) -> list[list[int]]:
    """What is to be read from there, in parts that end at the boundaries."""
    tokens = request.tokens
    ends = [*(place for place in request.boundaries if begin < place < len(tokens)), len(tokens)]
    return [list(tokens[start:end]) for start, end in pairwise((begin, *ends))]
