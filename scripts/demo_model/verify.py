"""Ask the saved model the golden questions."""

from collections.abc import Sequence
from pathlib import Path

import mlx.core as mx
from mlx_lm import load, stream_generate
from mlx_lm.models.qwen3 import Model
from mlx_lm.tokenizer_utils import TokenizerWrapper

from mlxhub.demo.golden import GOLDEN, Golden, ToolCall

MOST_TOKENS = 700


def count_golden(directory: Path) -> bool:
    """Print how many golden answers the model gives in each type of number; whether it gives all."""
    complete = True
    for dtype in (mx.float16, mx.float32):
        model, tokenizer = load(str(directory))
        model.set_dtype(dtype)
        right = sum(_is_right(model, tokenizer, golden) for golden in GOLDEN)
        print(f"golden: {right} of {len(GOLDEN)} in {str(dtype).removeprefix('mlx.core.')}")
        complete = complete and right == len(GOLDEN)
    return complete


def _is_right(model: Model, tokenizer: TokenizerWrapper, golden: Golden) -> bool:
    given = answer(model, tokenizer, golden)
    expected = golden.expected
    if given is not None and _parsed(tokenizer, given, expected) == expected:
        return True
    print(f"wrong: {golden.name}: {given!r} instead of {expected!r}")
    return False


def answer(model: Model, tokenizer: TokenizerWrapper, golden: Golden) -> str | None:
    """The greedy answer; None if it does not end."""
    prompt: Sequence[int] = tokenizer.apply_chat_template(
        list(golden.messages), tools=list(golden.tools) or None, add_generation_prompt=True
    )
    text, reason = "", None
    for response in stream_generate(model, tokenizer, list(prompt), max_tokens=MOST_TOKENS):
        text, reason = text + response.text, response.finish_reason
    return text if reason == "stop" else None


def _parsed(tokenizer: TokenizerWrapper, text: str, expected: str | ToolCall) -> str | ToolCall:
    start, end = tokenizer.tool_call_start, tokenizer.tool_call_end
    if isinstance(expected, str) or not (text.startswith(start) and text.endswith(end)):
        return text
    call = tokenizer.tool_parser(text.removeprefix(start).removesuffix(end))
    return ToolCall(call["name"], call["arguments"])
