"""What a model keeps of the tokens it has read, layer by layer, as its config.json lets one know."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from mlxhub.core.document import Value

Config = Mapping[str, Value]

# Where config.json speaks of no layers: as Llama 2 7B, which shares no heads, so that most need less.
UNKNOWN_VALUES_PER_TOKEN = 262_144
# Of a recurrent layer, whatever the context: Mamba 2's states, and those of Qwen3-Next, have up to so many
# numbers for each of its width.
RECURRENT_VALUES_PER_WIDTH = 256

_WITHIN = ("text_config", "llm_config", "language_config")
_LAYERS = ("num_hidden_layers", "n_layers", "n_layer", "num_layers")
_WIDTHS = ("hidden_size", "n_embd", "d_model", "model_dim", "dim")
_HEADS = ("num_attention_heads", "n_heads", "n_head", "num_heads")
_KV_HEADS = ("num_key_value_heads", "num_kv_heads", "n_kv_heads", "n_head_kv", "multi_query_group_num")
_WINDOWS = (
    "sliding_window",
    "sliding_window_size",
    "window_size",
    "attention_window_size",
    "attention_chunk_size",
)
_PATTERNS = ("layer_types", "layers_block_type", "block_types", "hybrid_override_pattern")
# These compress what they keep, and mlx-lm keeps it uncompressed.
_UNCOMPRESSED = ("deepseek_v2", "minicpm3")


class _Kind(StrEnum):
    FULL = "full"
    WINDOW = "window"
    RECURRENT = "recurrent"
    NONE = "none"


def kv_values(config: Config, tokens: int, step: int) -> int:
    """Numbers that a request with so many tokens, read `step` at a time, leaves in memory.

    Layers of unknown kinds are taken for those that attend to everything.
    """
    text = _text_part(config)
    layers = _number(text, _LAYERS)
    if not layers:
        return UNKNOWN_VALUES_PER_TOKEN * tokens
    shape = _shape(text)
    # What is read goes in whole before what left the window goes out.
    window = min((_number(text, _WINDOWS) or tokens) + step, tokens)
    tokens_of = {_Kind.FULL: tokens, _Kind.WINDOW: window, _Kind.RECURRENT: 0, _Kind.NONE: 0}
    kinds = _kinds(text, layers)
    recurrent = sum(kind is _Kind.RECURRENT for kind in kinds) * RECURRENT_VALUES_PER_WIDTH * shape.width
    return sum(tokens_of[kind] * shape.values_per_token for kind in kinds) + recurrent


@dataclass(frozen=True, slots=True)
class _Shape:
    """`values_per_token`: of one layer with attention."""

    width: int
    values_per_token: int


def _shape(text: Config) -> _Shape:
    width = _number(text, _WIDTHS) or 0
    heads = _number(text, _HEADS) or 1
    rank, rope = _number(text, ("kv_lora_rank",)), _number(text, ("qk_rope_head_dim",)) or 0
    if rank and text.get("model_type") not in _UNCOMPRESSED:
        # DeepSeek's attention of version 3.2 keeps an index beside it.
        return _Shape(width, rank + rope + (_number(text, ("index_head_dim",)) or 0))
    kv_heads = _kv_heads(text, heads)
    if rank:
        keys = rope + (_number(text, ("qk_nope_head_dim",)) or 0)
        return _Shape(width, heads * (keys + (_number(text, ("v_head_dim",)) or keys)))
    keys = _number(text, ("head_dim", "head_size", "attention_head_dim")) or width // heads
    # Some have wider heads where attention sees all tokens.
    keys = max(keys, _number(text, ("global_head_dim",)) or 0)
    return _Shape(width, kv_heads * (keys + (_number(text, ("v_head_dim",)) or keys)))


def _kv_heads(text: Config, heads: int) -> int:
    """The most of any layer, where they differ."""
    for key in _KV_HEADS:
        match text.get(key):
            case list(each):
                return max((count for count in each if isinstance(count, int)), default=heads)
            case int(count) if count > 0:
                return count
    return 1 if text.get("multi_query") is True else heads


def _kinds(text: Config, layers: int) -> Sequence[_Kind]:
    for key in _PATTERNS:
        match text.get(key):
            case [str(), *_] | str() as pattern if len(pattern) > 0:
                kinds = [_kind(str(word)) for word in pattern]
                return [kinds[layer % len(kinds)] for layer in range(layers)]
    if every := _number(text, ("full_attention_interval", "attn_layer_period")):
        return _each(every, layers, _Kind.RECURRENT)
    if every := _number(text, ("sliding_window_pattern", "_sliding_window_pattern")):
        return _each(every, layers, _Kind.WINDOW)
    match text.get("attn_layer_indices"):
        case list(indices):
            return [_Kind.FULL if layer in indices else _Kind.RECURRENT for layer in range(layers)]
    if _is_recurrent(text):
        return [_Kind.RECURRENT] * layers
    return [_Kind.FULL] * layers


def _each(every: int, layers: int, others: _Kind) -> Sequence[_Kind]:
    return [others if (layer + 1) % every else _Kind.FULL for layer in range(layers)]


def _is_recurrent(text: Config) -> bool:
    """All of it, with nothing that attends."""
    return text.get("model_type") in ("mamba", "mamba2", "rwkv7")


def _kind(word: str) -> _Kind:
    """Words, and the letters of Nemotron's pattern."""
    match word:
        case "sliding_attention" | "chunked_attention" | "local_attention" | "sliding":
            return _Kind.WINDOW
        case "linear_attention" | "mamba" | "mamba2" | "recurrent" | "conv" | "M":
            return _Kind.RECURRENT
        case "-" | "E" | "mlp" | "moe":
            return _Kind.NONE
        case _:
            return _Kind.FULL


def _text_part(config: Config) -> Config:
    for key in _WITHIN:
        match config.get(key):
            case dict(within):
                return {**config, **within}
    return config


def _number(text: Config, keys: Sequence[str]) -> int | None:
    return next((value for key in keys if isinstance(value := text.get(key), int) and value > 0), None)
