"""Estimates of memory, for models as they are published."""

from dataclasses import replace

import pytest

from mlxhub.core.document import Value
from mlxhub.core.kv_layers import kv_values
from mlxhub.core.memory import (
    PROCESS_BYTES,
    Checkpoint,
    MemoryNeed,
    Use,
    context_length_of,
    estimate,
    left_behind,
)

LLAMA_8B: dict[str, Value] = {
    "model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 8, "max_position_embeddings": 131072,
}  # fmt: skip
DEEPSEEK_V3: dict[str, Value] = {
    "model_type": "deepseek_v3", "hidden_size": 7168, "num_hidden_layers": 61, "num_attention_heads": 128,
    "num_key_value_heads": 128, "kv_lora_rank": 512, "qk_rope_head_dim": 64, "qk_nope_head_dim": 128,
    "v_head_dim": 128,
}  # fmt: skip
GEMMA_3_27B: dict[str, Value] = {
    "model_type": "gemma3",
    "text_config": {
        "hidden_size": 5376, "num_hidden_layers": 62, "num_attention_heads": 32, "num_key_value_heads": 16,
        "head_dim": 128, "sliding_window": 1024, "sliding_window_pattern": 6,
        "max_position_embeddings": 131072,
    },
}  # fmt: skip
QWEN3_NEXT: dict[str, Value] = {
    "model_type": "qwen3_next", "hidden_size": 2048, "num_hidden_layers": 48, "num_attention_heads": 16,
    "num_key_value_heads": 2, "head_dim": 256, "full_attention_interval": 4,
}  # fmt: skip
NEMOTRON_H: dict[str, Value] = {
    "model_type": "nemotron_h", "hidden_size": 4096, "num_hidden_layers": 4, "num_attention_heads": 32,
    "num_key_value_heads": 8, "head_dim": 128, "hybrid_override_pattern": "M-M*",
}  # fmt: skip
USE = Use(
    context_length=None,
    max_concurrency=8,
    prefill_step=2048,
    kv_bits=None,
    slow_halves=False,
    kept_entries=0,
    kept_bytes=2_000_000_000,
)
QUANTISED: dict[str, Value] = {**LLAMA_8B, "quantization": {"bits": 4, "group_size": 64}}
MODEL = Checkpoint(QUANTISED, {"U32": 4_000_000_000, "BF16": 500_000_000})


@pytest.mark.parametrize(
    ("config", "values"),
    [
        (LLAMA_8B, 32 * 2 * 8 * 128 * 10_000),
        (DEEPSEEK_V3, 61 * (512 + 64) * 10_000),
        # Every sixth of 62 layers sees all tokens; the others their window and a step.
        (GEMMA_3_27B, 2 * 16 * 128 * (10 * 10_000 + 52 * (1024 + 2048))),
        # The other three of four keep states of one size.
        (QWEN3_NEXT, 12 * 2 * 2 * 256 * 10_000 + 36 * 256 * 2048),
        (NEMOTRON_H, 2 * 8 * 128 * 10_000 + 2 * 256 * 4096),
        ({"model_type": "mamba2", "hidden_size": 100, "num_hidden_layers": 3}, 3 * 256 * 100),
        ({"n_layer": 2, "n_embd": 64, "n_head": 4}, 2 * 2 * 64 * 10_000),
        ({"n_layer": 2, "n_embd": 64, "n_head": 4, "multi_query": True}, 2 * 2 * 16 * 10_000),
        ({"num_hidden_layers": 2, "head_dim": 8, "num_key_value_heads": [1, 3]}, 2 * 2 * 3 * 8 * 10_000),
    ],
)
def test_what_a_request_leaves_follows_from_its_layers(config: dict[str, Value], values: int) -> None:
    assert kv_values(config, 10_000, 2048) == values


def test_a_model_that_says_nothing_of_its_layers_is_taken_for_a_large_one() -> None:
    assert kv_values({"model_type": "new"}, 1000, 2048) == 262_144_000


def test_a_window_longer_than_the_context_takes_no_more_than_that() -> None:
    assert kv_values({**LLAMA_8B, "layer_types": ["sliding_attention"], "sliding_window": 4096}, 100, 10) == (
        kv_values(LLAMA_8B, 100, 10)
    )


def test_what_is_needed_is_weights_and_rows_and_the_process() -> None:
    need = estimate(MODEL, USE)
    assert need == MemoryNeed(
        weights_bytes=4_500_000_000, row_bytes=131_072 * 4096, rows=8, context_tokens=4096, kept_bytes=0
    )
    assert need.total_bytes == PROCESS_BYTES + 4_500_000_000 + 8 * 131_072 * 4096


def test_a_context_that_hub_yaml_names_is_reserved_whole_as_far_as_the_model_has_one() -> None:
    assert estimate(MODEL, replace(USE, context_length=32_768)).context_tokens == 32_768
    assert estimate(MODEL, replace(USE, context_length=1_000_000)).context_tokens == 131_072
    short = Checkpoint({**LLAMA_8B, "max_position_embeddings": 2048}, {})
    assert estimate(short, USE).context_tokens == 2048


def test_where_halves_are_slow_what_is_not_quantised_doubles() -> None:
    slow = replace(USE, slow_halves=True)
    plain = Checkpoint(LLAMA_8B, {"BF16": 1000, "F32": 10, "U8": 1})
    assert estimate(plain, slow).weights_bytes == 2011
    assert estimate(plain, slow).row_bytes == 2 * estimate(plain, USE).row_bytes
    assert estimate(MODEL, slow) == estimate(MODEL, USE)


def test_floats_of_eight_bits_are_widened() -> None:
    model = Checkpoint(DEEPSEEK_V3, {"F8_E4M3": 1000})
    assert estimate(model, USE).weights_bytes == 2000
    assert estimate(model, replace(USE, slow_halves=True)).weights_bytes == 4000


def test_fewer_bits_and_drafts_answer_one_at_a_time() -> None:
    few = estimate(MODEL, replace(USE, kv_bits=4))
    assert (few.rows, few.row_bytes) == (1, 65_536 * 4096 * 5 // 8)
    drafted = estimate(MODEL, USE, draft=Checkpoint(QUANTISED, {"U32": 1000}), adapter={"F32": 10})
    assert (drafted.rows, drafted.row_bytes) == (1, 2 * 131_072 * 4096)
    assert drafted.weights_bytes == 4_500_001_010


def test_kept_prompts_are_bounded_by_bytes_and_by_entries() -> None:
    assert estimate(MODEL, replace(USE, kept_entries=16)).kept_bytes == 2_000_000_000
    assert estimate(MODEL, replace(USE, kept_entries=2)).kept_bytes == 2 * 131_072 * 4096


def test_a_model_that_does_not_fit_alone_is_told_what_to_lower() -> None:
    need = estimate(MODEL, replace(USE, context_length=8192))
    without_rows = PROCESS_BYTES + need.weights_bytes
    assert need.advice(without_rows + 3 * need.row_bytes) == "It would fit with max_concurrency: 3."
    assert need.advice(without_rows + need.row_bytes - 1) == (
        "One request of 8192 tokens takes 1.1 GB: lower its context_length, or say with memory_limit of this "
        "model what to reserve for it."
    )
    assert need.advice(without_rows) == (
        "It takes 4.8 GB without any request: use a smaller quantisation, or raise memory_limit."
    )


def test_a_context_length_is_found_in_either_place() -> None:
    assert context_length_of(LLAMA_8B) == context_length_of(GEMMA_3_27B) == 131_072
    assert context_length_of({}) == 8192


def test_an_unload_may_leave_a_fiftieth_of_the_model_and_the_first_one_libraries_too() -> None:
    before, peak = 100_000_000, 10_100_000_000
    assert left_behind(before, peak, before + 200_000_000, is_first=False) == 0
    assert left_behind(before, peak, before + 200_000_001, is_first=False) == 1
    assert left_behind(before, peak, before + 200_000_000 + PROCESS_BYTES, is_first=True) == 0
    assert left_behind(before, peak, before + 200_000_001 + PROCESS_BYTES, is_first=True) == 1


def test_a_small_process_may_move_by_more_than_a_share_of_a_small_model() -> None:
    assert left_behind(100_000_000, 101_000_000, 130_000_000, is_first=False) == 0
    assert left_behind(100_000_000, 101_000_000, 133_000_000, is_first=False) == 1_000_000
