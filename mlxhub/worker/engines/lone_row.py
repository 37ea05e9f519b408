"""One row, without a batch around it: faster where there is one, and the only way for some models."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import mlx.core as mx
from mlx_lm.generate import generation_stream

from mlxhub.worker.engines.engine import FinishReason
from mlxhub.worker.engines.read_prompts import Read, State
from mlxhub.worker.engines.rows import Decodable, Row, SampledToken, Step

# MLX keeps freed memory for the next computation; what no longer fits the longer cache is given back.
_TOKENS_BETWEEN_CLEARING = 256


@dataclass(slots=True)
class _Begun:
    """`state` is what is known after `read`. `ahead`: the token after it, with its logprobs, not yet told."""

    row: Row
    state: State
    read: list[int]
    told: int = 0
    ahead: tuple[mx.array, mx.array] | None = None
    context: mx.array = field(default_factory=lambda: mx.array([], mx.uint32))


class LoneRow:
    """Rows of which there is never more than one. Decoding is one token ahead of what is told."""

    def __init__(self, decodable: Decodable) -> None:
        self._decodable = decodable
        self._begun: _Begun | None = None

    def __len__(self) -> int:
        return 0 if self._begun is None else 1

    @property
    def has_begun(self) -> bool:
        """Whether anything of the row has been read."""
        return self._begun is not None and bool(self._begun.read)

    def insert(self, row: Row, known: Read | None = None) -> None:
        assert self._begun is None
        if known is None:
            self._begun = _Begun(row, self._decodable.new_state(), [])
        else:
            self._begun = _Begun(row, known.state, list(known.tokens))

    def next(self, chunk: int) -> Step:
        begun = self._begun
        if begun is None:
            return Step()
        with mx.stream(generation_stream):
            if begun.ahead is None:
                return self._read_on(begun, chunk)
            return Step(sampled=[self._tell(begun, goes_on=True)])

    def read(self, handles: Sequence[int]) -> dict[int, Read]:
        begun = self._begun
        if begun is None or begun.row.handle not in handles or not begun.read:
            return {}
        return {begun.row.handle: Read(tuple(begun.read), copy.deepcopy(begun.state))}

    def remove(self, handles: Sequence[int]) -> None:
        if self._begun is not None and self._begun.row.handle in handles:
            self._begun = None

    def close(self) -> None:
        self._begun = None

    def hand_over(self) -> tuple[SampledToken | None, tuple[Row, Read | None] | None]:
        """Let go of the row: what was sampled and not told yet, and the rest, if that was not its end."""
        begun = self._begun
        assert begun is not None
        told = None
        row = begun.row
        if begun.ahead is not None:
            with mx.stream(generation_stream):
                told = self._tell(begun, goes_on=False)
            row = replace(
                row, tokens=(*begun.read, told.token), max_tokens=row.max_tokens - begun.told, boundaries=()
            )
        self._begun = None
        if told is not None and told.reason is not None:
            return told, None
        return told, (row, Read(tuple(begun.read), begun.state) if begun.read else None)

    def _read_on(self, begun: _Begun, most: int) -> Step:
        """One chunk, and after the last of them the first token is on its way."""
        row = begun.row
        unread = len(row.tokens) - len(begun.read)
        ends = [place for place in row.boundaries if place > len(begun.read)]
        chunk = min(most, unread - 1, *(end - len(begun.read) for end in ends))
        if chunk > 0:
            coming = row.tokens[len(begun.read) : len(begun.read) + chunk]
            self._decodable.model(mx.array([coming], mx.uint32), cache=begun.state)
            mx.eval([layer.state for layer in begun.state])
            mx.clear_cache()
            begun.read.extend(coming)
        if unread - chunk > 1 or (chunk > 0 and row.boundaries):
            # What is known before the last token serves who asks the same again.
            at_boundary = len(begun.read) in (*ends, len(row.tokens) - 1)
            return Step(at_boundary=[row.handle] if at_boundary else [])
        begun.context = mx.array(begun.read, mx.uint32)
        begun.ahead = self._sample(begun, mx.array([row.tokens[-1]], mx.uint32))
        begun.read.append(row.tokens[-1])
        return Step(ready=[row.handle])

    def _tell(self, begun: _Begun, *, goes_on: bool) -> SampledToken:
        """The token that is ahead. If the row `goes_on` here, the next is computed while this one is told."""
        assert begun.ahead is not None
        row, (sampled, logprobs) = begun.row, begun.ahead
        if goes_on:
            begun.ahead = self._sample(begun, sampled)
        token = sampled.item()
        assert isinstance(token, int)
        if goes_on:
            begun.read.append(token)
        begun.told += 1
        if begun.told % _TOKENS_BETWEEN_CLEARING == 0:
            mx.clear_cache()
        reason = None
        if token in self._decodable.end_tokens:
            reason = FinishReason.STOP
        elif begun.told >= row.max_tokens:
            reason = FinishReason.LENGTH
        read = None
        if reason is not None:
            read = Read(tuple(begun.read), begun.state)
            self._begun = None
        return self._decodable.sampled(row, token, logprobs[0], reason, read)

    def _sample(self, begun: _Begun, last: mx.array) -> tuple[mx.array, mx.array]:
        """From what comes after `last`, a single token."""
        logits = self._decodable.model(last[None], cache=begun.state)[:, -1, :]
        if begun.row.guard is not None:
            begun.context = mx.concatenate([begun.context, last])
            logits = begun.row.guard(begun.context, logits)
        logprobs = logits - mx.logsumexp(logits, axis=-1, keepdims=True)
        sampled = begun.row.sampler(logprobs)
        mx.async_eval(sampled, logprobs, begun.context)  # type: ignore[no-untyped-call]
        return sampled, logprobs
