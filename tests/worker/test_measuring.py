"""What is reserved for a model, beside what MLX really holds of it."""

import importlib
from typing import Any

import mlx.core as mx
import pytest
from mlx.utils import tree_flatten
from mlx_lm.models.cache import make_prompt_cache

from mlxhub.core.kv_layers import kv_values
from mlxhub.demo import MODEL_REFERENCE
from mlxhub.worker.engines.prefill import Prefill
from mlxhub.worker.engines.text import TextEngine, TextEngineOptions

TOKENS = 512
STEP = 64
SMALL: dict[str, Any] = {
    "vocab_size": 64, "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 32, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
    "max_position_embeddings": 4096, "tie_word_embeddings": True,
}  # fmt: skip
LATENT: dict[str, Any] = SMALL | {
    "kv_lora_rank": 32, "q_lora_rank": 32, "qk_rope_head_dim": 16, "qk_nope_head_dim": 16, "v_head_dim": 16,
    "n_routed_experts": None, "first_k_dense_replace": 4, "moe_intermediate_size": 32,
}  # fmt: skip
MODELS: dict[str, dict[str, Any]] = {
    "qwen3": SMALL,
    "gemma3_text": SMALL | {"sliding_window": 128, "sliding_window_pattern": 2, "query_pre_attn_scalar": 32},
    "gpt_oss": SMALL | {
        "sliding_window": 128, "num_local_experts": 2, "num_experts_per_tok": 1, "rope_scaling": None,
        "layer_types": ["sliding_attention", "full_attention"] * 2,
    },
    "deepseek_v3": LATENT,
    "deepseek_v2": LATENT | {
        "rope_scaling": {
            "type": "yarn", "factor": 1.0, "mscale": 1.0, "mscale_all_dim": 1.0, "beta_fast": 32,
            "beta_slow": 1,
            "original_max_position_embeddings": 4096,
        }
    },
    "qwen3_next": SMALL | {
        "full_attention_interval": 2, "linear_num_value_heads": 4, "linear_num_key_heads": 4,
        "linear_key_head_dim": 16, "linear_value_head_dim": 16, "linear_conv_kernel_dim": 4, "num_experts": 0,
        "num_experts_per_tok": 0, "decoder_sparse_step": 1, "shared_expert_intermediate_size": 16,
        "mlp_only_layers": [0, 1, 2, 3], "moe_intermediate_size": 16, "partial_rotary_factor": 0.5,
    },
    "lfm2": SMALL | {
        "norm_eps": 1e-5, "conv_bias": False, "conv_L_cache": 3, "block_dim": 64, "block_ff_dim": 64,
        "block_multiple_of": 16, "block_ffn_dim_multiplier": 1.0, "block_auto_adjust_ff_dim": False,
        "full_attn_idxs": [1, 3], "layer_types": ["conv", "full_attention"] * 2,
    },
}  # fmt: skip


def values_kept(model_type: str) -> int:
    """Numbers in what mlx-lm's own model keeps of a prompt of TOKENS."""
    module = importlib.import_module(f"mlx_lm.models.{model_type}")
    model = module.Model(module.ModelArgs.from_dict(MODELS[model_type] | {"model_type": model_type}))
    kept = make_prompt_cache(model)
    for _ in range(TOKENS // STEP):
        mx.eval(model(mx.array([list(range(STEP))]), cache=kept))
    arrays = [array for _, array in tree_flatten([layer.state for layer in kept])]
    return sum(array.size for array in arrays if isinstance(array, mx.array))


@pytest.mark.parametrize("model_type", MODELS)
def test_what_a_prompt_leaves_is_not_estimated_too_low(model_type: str) -> None:
    estimated = kv_values(MODELS[model_type] | {"model_type": model_type}, TOKENS, STEP)
    kept = values_kept(model_type)
    assert kept <= estimated <= 3 * kept


@pytest.mark.parametrize("model_type", ["qwen3", "gemma3_text", "deepseek_v3", "deepseek_v2"])
def test_what_attention_alone_keeps_is_known(model_type: str) -> None:
    kept = values_kept(model_type)
    assert kv_values(MODELS[model_type] | {"model_type": model_type}, TOKENS, STEP) <= 1.01 * kept


def test_weights_are_measured_as_this_machine_holds_them() -> None:
    engine = TextEngine(TextEngineOptions("m", MODEL_REFERENCE, 4, Prefill(32, 32)))
    need = engine.measure()
    before = mx.get_active_memory()
    engine.load()
    held = mx.get_active_memory() - before
    engine.unload()
    assert held <= need.weights_bytes <= 1.1 * held
    assert (need.rows, need.context_tokens) == (4, 2048)
