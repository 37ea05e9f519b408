"""How much memory a model will take: its weights, what it keeps of prompts (KV), and its process."""

from collections.abc import Mapping
from dataclasses import dataclass

from mlxhub.core.document import Value
from mlxhub.core.kv_layers import kv_values
from mlxhub.core.model_type import ModelType
from mlxhub.errors import size_text

# A worker with its libraries (100 MB, measured on Linux), and what MLX computes with in a step.
PROCESS_BYTES = 250_000_000
# Of what a model took, so much may stay when it is unloaded: allocators keep some, and a process moves by
# more than a share of a small model.
_LEFT_SHARE = 0.02
_LEFT_BYTES = 32_000_000
# Most requests are far shorter than what models can hold: what nobody asked for is not reserved.
UNSAID_CONTEXT = 4096
_CONTEXT_KEYS = (
    "max_position_embeddings",
    "n_positions",
    "max_seq_len",
    "max_sequence_length",
    "n_ctx",
    "seq_length",
)
_FALLBACK_CONTEXT = 8192
# Of an encoder, bytes for each token and number of its width: hidden states and what lies between two layers,
# four times as wide, some of them at once, in float32.
_WIDTHS = ("hidden_size", "d_model", "dim")
_WORK_PER_NUMBER = 64
# A decoder from latents to pixels had up to so much at once for an image of a million pixels.
_IMAGE_PIXELS = 1_048_576
_WORK_PER_PIXEL = 3_000
# Half a minute of sound as a speech model's encoder sees it, and what its decoder keeps.
_SPEECH_WORK_BYTES = 300_000_000
_QUANTISED_KEYS = frozenset({"quantization", "quantization_config"})
# Of a group of 32 numbers: a scale and a bias of 16 bits each. Groups of 64 take half of that.
_BITS_OF_SCALES = 1
_FLOAT8 = ("F8_E4M3", "F8_E5M2")  # MLX does not compute with these: models widen them
_HALF = ("F16", "BF16")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """`config`: what config.json says, or model_index.json. `weights`: bytes by dtype, as the headers of its
    safetensors say. `names`: of the JSON files it has, relative to its directory.
    """

    config: Mapping[str, Value]
    weights: Mapping[str, int]
    names: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Use:
    """What hub.yaml says of how a model is used. `context_length` None: nobody said.

    `slow_halves`: this machine computes in float32 what is not quantised. `kept_entries`, `kept_bytes`:
    bounds of what is kept of prompts beyond the requests that are served.
    """

    context_length: int | None
    max_concurrency: int
    prefill_step: int
    kv_bits: int | None
    slow_halves: bool
    kept_entries: int
    kept_bytes: int


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """`context_tokens`: of each of the `rows` that it is meant for; `row_bytes`: what one of them takes."""

    weights_bytes: int
    row_bytes: int
    rows: int
    context_tokens: int
    kept_bytes: int

    @property
    def total_bytes(self) -> int:
        return PROCESS_BYTES + self.weights_bytes + self.rows * self.row_bytes + self.kept_bytes

    def advice(self, limit_bytes: int) -> str:
        """What to change in hub.yaml so that it fits, alone, into so much."""
        left = limit_bytes - PROCESS_BYTES - self.weights_bytes - self.kept_bytes
        if left >= self.row_bytes > 0:
            return f"It would fit with max_concurrency: {min(self.rows, left // self.row_bytes)}."
        if left > 0:
            return (
                f"One request of {self.context_tokens} tokens takes {size_text(self.row_bytes)}: lower its "
                "context_length, or say with memory_limit of this model what to reserve for it."
            )
        weights = size_text(limit_bytes - left)
        return f"It takes {weights} without any request: use a smaller quantisation, or raise memory_limit."


def estimate(
    model: Checkpoint, use: Use, *, adapter: Mapping[str, int] | None = None, draft: Checkpoint | None = None
) -> MemoryNeed:
    """Rather too much than too little, but for contexts that nobody named.

    With a draft model or `kv_bits` one request is answered at a time. `adapter`: bytes by dtype.
    """
    tokens = min(use.context_length or UNSAID_CONTEXT, context_length_of(model.config))
    row_bytes = _row_bytes(model, use, tokens, use.kv_bits)
    weights_bytes = _weights_bytes(model.weights, model, use) + _weights_bytes(adapter or {}, model, use)
    if draft is not None:
        row_bytes += _row_bytes(draft, use, tokens, None)
        weights_bytes += _weights_bytes(draft.weights, draft, use)
    return MemoryNeed(
        weights_bytes=weights_bytes,
        row_bytes=row_bytes,
        rows=1 if draft is not None or use.kv_bits is not None else use.max_concurrency,
        context_tokens=tokens,
        kept_bytes=min(use.kept_bytes, use.kept_entries * row_bytes),
    )


def estimate_task(
    model: Checkpoint, model_type: ModelType, *, batch_tokens: int, slow_halves: bool
) -> MemoryNeed:
    """Of a model that does not continue texts: its weights, and what it computes with at once.

    `batch_tokens`: that are encoded together. `slow_halves` as of Use.
    """
    weights_bytes = _widened(model.weights, slow_halves and not is_quantised(model.config))
    match model_type:
        case ModelType.EMBEDDINGS:
            width = max(
                (value for key in _WIDTHS if isinstance(value := model.config.get(key), int)), default=4096
            )
            work_bytes = batch_tokens * width * _WORK_PER_NUMBER
        case ModelType.IMAGE_GENERATION | ModelType.IMAGE_EDIT:
            work_bytes = _IMAGE_PIXELS * _WORK_PER_PIXEL
        case _:
            work_bytes = _SPEECH_WORK_BYTES
    return MemoryNeed(weights_bytes + work_bytes, 0, 0, 0, 0)


def left_behind(before_bytes: int, peak_bytes: int, after_bytes: int, *, is_first: bool) -> int:
    """What an unload has left of a model beyond what it may leave, in bytes; 0: its memory is back.

    `peak_bytes`: the most it had while it was loaded. `is_first`: libraries came with this load, and stay.
    """
    may_stay = max(_LEFT_BYTES, int(_LEFT_SHARE * (peak_bytes - before_bytes)))
    if is_first:
        may_stay += PROCESS_BYTES
    return max(0, after_bytes - before_bytes - may_stay)


def context_length_of(config: Mapping[str, Value]) -> int:
    """Tokens that it can hold, as far as it says so."""
    within = config.get("text_config")
    for key in _CONTEXT_KEYS:
        for place in (config, within if isinstance(within, dict) else {}):
            if isinstance(length := place.get(key), int) and length > 0:
                return length
    return _FALLBACK_CONTEXT


def is_quantised(config: Mapping[str, Value]) -> bool:
    return bool(_QUANTISED_KEYS & config.keys())


def _weights_bytes(weights: Mapping[str, int], model: Checkpoint, use: Use) -> int:
    return _widened(weights, use.slow_halves and not is_quantised(model.config))


def _widened(weights: Mapping[str, int], widened: bool) -> int:
    factors = dict.fromkeys(_FLOAT8, 4 if widened else 2) | dict.fromkeys(_HALF, 2 if widened else 1)
    return sum(size * factors.get(dtype, 1) for dtype, size in weights.items())


def _row_bytes(model: Checkpoint, use: Use, tokens: int, kv_bits: int | None) -> int:
    """What is kept has the type that is computed in, unless `kv_bits` says otherwise."""
    plain = 32 if use.slow_halves and not is_quantised(model.config) else 16
    bits = plain if kv_bits is None else kv_bits + _BITS_OF_SCALES
    return kv_values(model.config, tokens, use.prefill_step) * bits // 8
