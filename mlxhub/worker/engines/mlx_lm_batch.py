"""mlx-lm's BatchGenerator, on the engine thread."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import mlx.core as mx
from mlx_lm.generate import BatchGenerator

from mlxhub.worker.engines.engine import FinishReason
from mlxhub.worker.engines.read_prompts import Read
from mlxhub.worker.engines.rows import Decodable, Row, SampledToken, Step


class Batch:
    """Rows with continuous batching: one prefill chunk and one decode in each `next`."""

    def __init__(self, decodable: Decodable, max_rows: int, largest_chunk: int) -> None:
        self._decodable = decodable
        self._generator: Any = BatchGenerator(
            decodable.model,
            stop_tokens=[[token] for token in decodable.end_tokens],
            completion_batch_size=max_rows,
            prefill_batch_size=max_rows,
            prefill_step_size=largest_chunk,
        )
        decodable.limits.wire()
        self._uids: dict[int, int] = {}  # by handle
        self._rows: dict[int, Row] = {}  # by uid

    def __len__(self) -> int:
        return len(self._rows)

    def insert(self, row: Row, known: Read | None = None) -> None:
        length = 0 if known is None else len(known.tokens)
        uids: list[int] = self._generator.insert_segments(
            [_segments(row, length)],
            max_tokens=[row.max_tokens],
            caches=None if known is None else [known.state],
            all_tokens=[list(row.tokens[:length])],
            samplers=[row.sampler],
            logits_processors=[[] if row.guard is None else [row.guard]],
        )
        self._uids[row.handle] = uids[0]
        self._rows[uids[0]] = row

    def next(self, chunk: int) -> Step:
        self._generator.prefill_step_size = chunk
        prompts, generated = self._generator.next()
        return Step(
            ready=[self._rows[prompt.uid].handle for prompt in prompts if prompt.end_of_prompt],
            at_boundary=[
                self._rows[prompt.uid].handle
                for prompt in prompts
                if prompt.end_of_segment and not prompt.end_of_prompt
            ],
            sampled=[self._sampled(response) for response in generated],
        )

    def read(self, handles: Sequence[int]) -> dict[int, Read]:
        uids = [self._uids[handle] for handle in handles if handle in self._uids]
        with mx.stream(self._generator.stream):
            taken = self._generator.extract_cache(uids)
        return {
            self._rows[uid].handle: Read(tuple(tokens), state)
            for uid, (state, tokens) in taken.items()
            if tokens
        }

    def remove(self, handles: Sequence[int]) -> None:
        uids = [self._uids.pop(handle) for handle in handles if handle in self._uids]
        self._generator.remove(uids)
        for uid in uids:
            del self._rows[uid]

    def close(self) -> None:
        self._generator.close()

    def _sampled(self, response: Any) -> SampledToken:
        row = self._rows[response.uid]
        reason, read = None, None
        if response.finish_reason is not None:
            reason = FinishReason(response.finish_reason)
            read = Read(tuple(response.all_tokens), response.prompt_cache)
            del self._rows[response.uid], self._uids[row.handle]
        return self._decodable.sampled(row, response.token, response.logprobs, reason, read)


def _segments(row: Row, begin: int) -> list[list[int]]:
    """What is to be read from there, in parts that end at the boundaries."""
    tokens = row.tokens
    ends = [*(place for place in row.boundaries if begin < place < len(tokens)), len(tokens)]
    return [list(tokens[start:end]) for start, end in pairwise((begin, *ends))]
