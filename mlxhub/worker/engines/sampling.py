"""Sampling options as mlx-lm's samplers and logits processors, one set per row of a batch."""

from collections.abc import Callable
from dataclasses import dataclass

import mlx.core as mx
from mlx_lm.sample_utils import (
    apply_min_p,
    apply_top_k,
    apply_top_p,
    greedy_sampler,
    make_frequency_penalty,
    make_logits_processors,
    make_presence_penalty,
)

from mlxhub.worker.engines.engine import SamplingOptions

Sampler = Callable[[mx.array], mx.array]
Processor = Callable[[mx.array, mx.array], mx.array]
WHOLE_ANSWER = 1 << 30


@dataclass(frozen=True, slots=True)
class SamplingDefaults:
    """What holds where neither the request nor hub.yaml says anything: the model's generation_config.json."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0


@dataclass(frozen=True, slots=True)
class _Shape:
    temperature: float
    top_p: float
    top_k: int
    min_p: float


class Samplers:
    """Rows without a seed and with equal options share one sampler: mlx-lm then samples them in one call."""

    def __init__(self, defaults: SamplingDefaults, vocabulary: int) -> None:
        self._defaults = defaults
        self._vocabulary = vocabulary
        self._shared: dict[_Shape, Sampler] = {}

    def sampler(self, options: SamplingOptions) -> Sampler:
        shape = self._shape(options)
        if shape.temperature == 0 or shape.top_p == 0 or shape.top_k == 1:
            return greedy_sampler
        if options.seed is not None:
            return _seeded(shape, options.seed)
        if len(self._shared) > 256:  # a client that varies its options must not grow this for ever
            self._shared.clear()
        return self._shared.setdefault(shape, _unseeded(shape))

    def _shape(self, options: SamplingOptions) -> _Shape:
        temperature = options.temperature
        top_k = options.top_k if options.top_k is not None else self._defaults.top_k
        return _Shape(
            temperature=self._defaults.temperature if temperature is None else temperature,
            top_p=self._defaults.top_p if options.top_p is None else options.top_p,
            top_k=top_k if 0 < top_k < self._vocabulary else 0,
            min_p=options.min_p or 0.0,
        )


def processors(options: SamplingOptions, prompt_tokens: int) -> list[Processor]:
    """Penalties look at the answer alone, as OpenAI defines them, not at the prompt and not at 20 tokens."""
    made: list[Processor] = []
    if options.logit_bias:
        made += make_logits_processors(logit_bias=dict(options.logit_bias))
    if options.presence_penalty:
        made.append(_on_answer(make_presence_penalty(options.presence_penalty, WHOLE_ANSWER), prompt_tokens))
    if options.frequency_penalty:
        made.append(
            _on_answer(make_frequency_penalty(options.frequency_penalty, WHOLE_ANSWER), prompt_tokens)
        )
    return made


def _on_answer(processor: Processor, prompt_tokens: int) -> Processor:
    def on_answer(tokens: mx.array, logits: mx.array) -> mx.array:
        return processor(tokens[prompt_tokens:], logits)

    return on_answer


def _filtered(shape: _Shape, logprobs: mx.array) -> mx.array:
    """The order of mlx_lm.sample_utils.make_sampler."""
    if shape.top_p < 1:
        logprobs = apply_top_p(logprobs, shape.top_p)
    if shape.min_p > 0:
        logprobs = apply_min_p(logprobs, shape.min_p)
    if shape.top_k > 0:
        logprobs = apply_top_k(logprobs, shape.top_k)
    return logprobs


def _unseeded(shape: _Shape) -> Sampler:
    def sample(logprobs: mx.array) -> mx.array:
        return mx.random.categorical(_filtered(shape, logprobs) * (1 / shape.temperature))

    return sample


def _seeded(shape: _Shape, seed: int) -> Sampler:
    """A key per row: the same text alone or among neighbours."""
    key = mx.random.key(seed % (1 << 63))

    def sample(logprobs: mx.array) -> mx.array:
        nonlocal key
        key, now = mx.random.split(key)
        return mx.random.categorical(_filtered(shape, logprobs) * (1 / shape.temperature), key=now)

    return sample
