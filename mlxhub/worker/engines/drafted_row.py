"""One row whose next tokens a smaller model guesses, so that the larger one only has to check them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import mlx.core as mx
from mlx_lm.generate import generate_step, generation_stream, speculative_generate_step
from mlx_lm.models.cache import trim_prompt_cache

from mlxhub.worker.engines.engine import FinishReason
from mlxhub.worker.engines.read_prompts import Read, State
from mlxhub.worker.engines.rows import Decodable, Row, SampledToken, Step
from mlxhub.worker.engines.sampling import Sampler


@dataclass(slots=True)
class _Begun:
    """`state` is the model's, `guesser_state` the smaller one's. `sampled`: its tokens, as they come."""

    row: Row
    state: State
    guesser_state: State
    read: int
    told: list[int] = field(default_factory=list)
    sampled: Any = None


class DraftedRow:
    """Rows of which there is never more than one. What is kept of a prompt is what both models know of it."""

    def __init__(self, decodable: Decodable, guesser: Decodable, guesses: int, vocabulary: int) -> None:
        """Both models must allow what they have read to be cut back at any length.

        `vocabulary`: so many tokens both have weights for; what is beyond is padding, and is never sampled.
        """
        self._vocabulary = vocabulary
        self._decodable = decodable
        self._guesser = guesser
        self._guesses = guesses
        self._begun: _Begun | None = None

    def insert(self, row: Row, known: Read | None = None) -> None:
        assert self._begun is None
        if known is None:
            self._begun = _Begun(row, self._decodable.new_state(), self._guesser.new_state(), 0)
            return
        layers = len(self._decodable.new_state())
        self._begun = _Begun(row, known.state[:layers], known.state[layers:], len(known.tokens))

    def next(self, chunk: int) -> Step:
        begun = self._begun
        if begun is None:
            return Step()
        with mx.stream(generation_stream):
            if begun.sampled is None:
                return self._read_on(begun, chunk)
            return Step(sampled=[self._tell(begun)])

    def read(self, handles: Sequence[int]) -> dict[int, Read]:
        begun = self._begun
        if begun is None or begun.row.handle not in handles or not begun.read:
            return {}
        return {begun.row.handle: _taken(begun)}

    def remove(self, handles: Sequence[int]) -> None:
        if self._begun is not None and self._begun.row.handle in handles:
            _finish(self._begun)
            self._begun = None

    def close(self) -> None:
        if self._begun is not None:
            _finish(self._begun)
        self._begun = None

    def _read_on(self, begun: _Begun, most: int) -> Step:
        row = begun.row
        chunk = min(most, len(row.tokens) - 1 - begun.read)
        if chunk > 0:
            coming = mx.array([row.tokens[begun.read : begun.read + chunk]], mx.uint32)
            for decodable, state in ((self._decodable, begun.state), (self._guesser, begun.guesser_state)):
                decodable.model(coming, cache=state)
                mx.eval([layer.state for layer in state])
            mx.clear_cache()
            begun.read += chunk
        if len(row.tokens) - begun.read > 1:
            return Step()
        begun.sampled = self._sampled(begun)
        return Step(ready=[row.handle])

    def _sampled(self, begun: _Begun) -> Iterator[tuple[Any, ...]]:
        """Each token with its logprobs, one axis."""
        row = begun.row
        sampler = _within(row.sampler, self._vocabulary)
        last = mx.array([row.tokens[-1]], mx.uint32)
        processors = None if row.guard is None else [_with_prompt(row.guard, row.tokens[:-1])]
        if row.is_constrained:
            # A grammar cannot take back a guess.
            return generate_step(
                last,
                self._decodable.model,
                max_tokens=row.max_tokens,
                sampler=sampler,
                logits_processors=processors,
                prompt_cache=begun.state,
            )
        return speculative_generate_step(
            last,
            self._decodable.model,
            self._guesser.model,
            num_draft_tokens=self._guesses,
            max_tokens=row.max_tokens,
            sampler=sampler,
            logits_processors=processors,
            prompt_cache=[*begun.state, *begun.guesser_state],
        )

    def _tell(self, begun: _Begun) -> SampledToken:
        sampled, logprobs, *_ = next(begun.sampled)
        token = int(sampled)
        begun.told.append(token)
        reason, read = None, None
        if token in self._decodable.end_tokens:
            reason = FinishReason.STOP
        elif len(begun.told) >= begun.row.max_tokens:
            reason = FinishReason.LENGTH
        if reason is not None:
            read = _taken(begun)
            self._begun = None
        return self._decodable.sampled(begun.row, token, logprobs, reason, read)


def _finish(begun: _Begun) -> None:
    """Within the stream that it began in: it would leave the thread with another."""
    if begun.sampled is not None:
        with mx.stream(generation_stream):
            begun.sampled.close()


def _taken(begun: _Begun) -> Read:
    """What both models have read: guesses, and what one of them has not come to, are cut off."""
    _finish(begun)
    length = min(begun.state[0].offset, begun.guesser_state[0].offset)
    for state in (begun.state, begun.guesser_state):
        trim_prompt_cache(state, state[0].offset - length)
    return Read((*begun.row.tokens, *begun.told)[:length], [*begun.state, *begun.guesser_state])


def _within(sampler: Sampler, vocabulary: int) -> Sampler:
    return lambda logprobs: sampler(logprobs[..., :vocabulary])


def _with_prompt(
    process: Callable[[mx.array, mx.array], mx.array], prompt: Sequence[int]
) -> Callable[[mx.array, mx.array], mx.array]:
    """mlx-lm's generators know of the prompt only what they read themselves."""
    before = mx.array(list(prompt), mx.uint32)

    def processed(tokens: mx.array, logits: mx.array) -> mx.array:
        return process(mx.concatenate([before, tokens]), logits)

    return processed
