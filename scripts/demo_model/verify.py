"""Ask a saved model the golden questions."""

from collections.abc import Sequence

import mlx.core as mx
from demo_model.tokenizer import THINK_END, THINK_START
from demo_model.variants import Variant
from mlx_lm import load, stream_generate
from mlx_lm.models.qwen3 import Model
from mlx_lm.tokenizer_utils import TokenizerWrapper

from mlxhub.demo.golden import Golden, ToolCall

MOST_TOKENS = 700


def count_golden(variant: Variant) -> bool:
    """Print how many golden answers the model gives in each type of number; whether it gives all."""
    complete = True
    for dtype in (mx.float16, mx.float32):
        model, tokenizer = load(str(variant.directory))
        model.set_dtype(dtype)
        right = sum(_is_right(model, tokenizer, golden) for golden in variant.golden)
        told = f"{right} of {len(variant.golden)} in {str(dtype).removeprefix('mlx.core.')}"
        print(f"{variant.reference}, golden: {told}")
        complete = complete and right == len(variant.golden)
    return complete


def _is_right(model: Model, tokenizer: TokenizerWrapper, golden: Golden) -> bool:
    given = answer(model, tokenizer, golden)
    thought = f"{THINK_START}\n{golden.thought}\n{THINK_END}\n\n" if golden.thought else ""
    if given is not None and given.startswith(thought):
        said = given.removeprefix(thought)
        if _parsed(tokenizer, said, golden.expected) == golden.expected:
            return True
    print(f"wrong: {golden.name}: {given!r} instead of {thought!r} and {golden.expected!r}")
    return False


def answer(model: Model, tokenizer: TokenizerWrapper, golden: Golden) -> str | None:
    """The greedy answer; None if it does not end."""
    prompt: Sequence[int] = tokenizer.apply_chat_template(
        list(golden.messages),
        tools=list(golden.tools) or None,
        add_generation_prompt=True,
        enable_thinking=golden.thought != "",
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
