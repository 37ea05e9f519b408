"""The built-in models in memory, and what they answer to their golden conversations."""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import mlx.core as mx
from mlx_lm import load
from mlx_lm.generate import BatchGenerator
from mlx_lm.tokenizer_utils import TokenizerWrapper

from mlxhub.demo import MODEL_REFERENCE, THINKING_REFERENCE, model_directory
from mlxhub.demo.golden import GOLDEN, Golden, JsonObject, ToolCall, called, said
from mlxhub.demo.thoughts import THINKING_GOLDEN, thinking

MOST_TOKENS = 700
GOLDEN_OF = {MODEL_REFERENCE: GOLDEN, THINKING_REFERENCE: THINKING_GOLDEN}
CASES = [(reference, golden) for reference, goldens in GOLDEN_OF.items() for golden in goldens]
IDS = [f"{reference}: {golden.name}" for reference, golden in CASES]


@cache
def loaded(reference: str) -> tuple[Any, TokenizerWrapper]:
    # float32, which is faster where there is no GPU; the training script checks float16 too.
    model, tokenizer = load(str(model_directory(reference)))[:2]
    model.set_dtype(mx.float32)
    return model, tokenizer


def tokenizer_of(reference: str) -> TokenizerWrapper:
    return loaded(reference)[1]


@cache
def answers_of(reference: str) -> dict[str, tuple[str, str | None]]:
    """What each golden conversation gets, all of them in one batch: the text and why it ended."""
    goldens = GOLDEN_OF[reference]
    given = _answers(*loaded(reference), goldens)
    return dict(zip([golden.name for golden in goldens], given, strict=True))


def rendered(
    tokenizer: TokenizerWrapper,
    messages: Sequence[JsonObject],
    golden: Golden,
    *,
    asks: bool,
    thinks: bool | None = None,
) -> str:
    """`thinks` None: as the golden answer does."""
    text = tokenizer.apply_chat_template(
        list(messages),
        tools=list(golden.tools) or None,
        tokenize=False,
        add_generation_prompt=asks,
        enable_thinking=golden.thought != "" if thinks is None else thinks,
    )
    assert isinstance(text, str)
    return text


def said_by_model(golden: Golden) -> JsonObject:
    match golden.expected:
        case ToolCall() as call:
            message = called(call)
        case str() as text:
            message = said("assistant", text)
    return thinking(message, golden.thought) if golden.thought else message


def _answers(
    model: Any, tokenizer: TokenizerWrapper, goldens: tuple[Golden, ...]
) -> Iterator[tuple[str, str | None]]:
    generator = BatchGenerator(
        model, max_tokens=MOST_TOKENS, stop_tokens=[[end] for end in tokenizer.eos_token_ids]
    )
    prompts = [
        tokenizer.encode(rendered(tokenizer, golden.messages, golden, asks=True)) for golden in goldens
    ]
    rows = generator.insert(prompts)
    tokens: dict[int, list[int]] = {row: [] for row in rows}
    reasons: dict[int, str | None] = {}
    while len(reasons) < len(rows):
        for response in generator.next()[1]:
            if response.finish_reason != "stop":
                tokens[response.uid].append(response.token)
            if response.finish_reason is not None:
                reasons[response.uid] = response.finish_reason
    generator.close()
    return ((tokenizer.decode(tokens[row]), reasons[row]) for row in rows)
