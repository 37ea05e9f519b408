"""What mlxhub calls of mlx-lm, and whether the installed one has it."""

import inspect
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

from mlx_lm.generate import BatchGenerator, generate_step, speculative_generate_step
from mlx_lm.models.cache import KVCache, make_prompt_cache, trim_prompt_cache
from mlx_lm.utils import load, load_adapters

# mlx-lm changed these signatures in 0.30.7, 0.31.0, 0.31.3 and 0.32.0.
_NEEDED: Mapping[Callable[..., Any], frozenset[str]] = {
    BatchGenerator.__init__: frozenset(
        {"model", "stop_tokens", "completion_batch_size", "prefill_batch_size", "prefill_step_size"}
    ),
    BatchGenerator.insert_segments: frozenset(
        {"segments", "max_tokens", "caches", "all_tokens", "samplers", "logits_processors"}
    ),
    BatchGenerator.extract_cache: frozenset({"uids"}),
    BatchGenerator.remove: frozenset({"uids"}),
    BatchGenerator.next: frozenset(),
    BatchGenerator.close: frozenset(),
    generate_step: frozenset(
        {"prompt", "model", "max_tokens", "sampler", "logits_processors", "prompt_cache"}
    ),
    speculative_generate_step: frozenset(
        {"draft_model", "num_draft_tokens", "max_tokens", "sampler", "logits_processors", "prompt_cache"}
    ),
    KVCache.to_quantized: frozenset({"group_size", "bits"}),
    make_prompt_cache: frozenset({"model"}),
    trim_prompt_cache: frozenset({"cache", "num_tokens"}),
    load_adapters: frozenset({"model", "adapter_path"}),
    load: frozenset({"path_or_hf_repo", "tokenizer_config", "return_config", "trust_remote_code"}),
}


def check_api() -> None:
    """Raises ImportError naming what the installed mlx-lm lacks."""
    for function, needed in _NEEDED.items():
        missing = needed - inspect.signature(function).parameters.keys()
        if missing:
            raise ImportError(
                f"mlx-lm {version('mlx-lm')} does not fit this mlxhub: {function.__qualname__} lacks "
                f"{', '.join(sorted(missing))}. Install mlx-lm>=0.32.2,<0.33."
            )
