"""How likely tokens were, as clients are told."""

from collections.abc import Callable

import mlx.core as mx
import numpy as np

from mlxhub.protocol.parts import SampledLogprob, TokenLogprob

# What cannot be sampled at all; JSON has no infinity.
IMPOSSIBLE = -9999.0


def sampled_logprob(
    logprobs: mx.array, token: int, top: int, text_bytes: Callable[[int], bytes]
) -> SampledLogprob:
    """`logprobs`: of the whole vocabulary, one axis."""
    values = np.array(logprobs.astype(mx.float32))

    def told(token: int) -> TokenLogprob:
        return TokenLogprob(text_bytes(token), max(float(values[token]), IMPOSSIBLE))

    likeliest = np.argpartition(values, -top)[-top:] if top else np.array([], int)
    ordered = sorted(likeliest.tolist(), key=lambda each: (-values[each], each))
    return SampledLogprob(told(token), tuple(told(each) for each in ordered))
