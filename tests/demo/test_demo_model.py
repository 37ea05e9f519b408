"""The shipped demo model gives its golden answers, and its template lets prefix caches hit."""

from collections.abc import Iterator
from typing import Any

import mlx.core as mx
import pytest
from mlx_lm import load
from mlx_lm.generate import BatchGenerator
from mlx_lm.tokenizer_utils import TokenizerWrapper

from mlxhub.demo import MODEL_REFERENCE, model_directory
from mlxhub.demo.golden import GOLDEN, Golden, JsonObject, ToolCall, called, long_story, said

MOST_TOKENS = 700
SHIPPED = {
    "chat_template.jinja", "config.json", "generation_config.json", "model.safetensors", "tokenizer.json",
    "tokenizer_config.json",
}  # fmt: skip
ANSWERED = [golden for golden in GOLDEN if isinstance(golden.expected, str)]
CALLING = [golden for golden in GOLDEN if isinstance(golden.expected, ToolCall)]


@pytest.fixture(scope="module")
def loaded() -> tuple[Any, TokenizerWrapper]:
    # float32, which is faster where there is no GPU; the training script checks float16 too.
    model, tokenizer = load(str(model_directory()))[:2]
    model.set_dtype(mx.float32)
    return model, tokenizer


@pytest.fixture(scope="module")
def answers(loaded: tuple[Any, TokenizerWrapper]) -> dict[str, tuple[str, str | None]]:
    """What each golden conversation gets, all of them in one batch: the text and why it ended."""
    return dict(zip([golden.name for golden in GOLDEN], _answers(*loaded, GOLDEN), strict=True))


def _rendered(
    tokenizer: TokenizerWrapper, messages: tuple[JsonObject, ...], golden: Golden, *, asks: bool
) -> str:
    text = tokenizer.apply_chat_template(
        list(messages), tools=list(golden.tools) or None, tokenize=False, add_generation_prompt=asks
    )
    assert isinstance(text, str)
    return text


def _answers(
    model: Any, tokenizer: TokenizerWrapper, goldens: tuple[Golden, ...]
) -> Iterator[tuple[str, str | None]]:
    generator = BatchGenerator(
        model, max_tokens=MOST_TOKENS, stop_tokens=[[end] for end in tokenizer.eos_token_ids]
    )
    prompts = [
        tokenizer.encode(_rendered(tokenizer, golden.messages, golden, asks=True)) for golden in goldens
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


def _said_by_model(golden: Golden) -> JsonObject:
    match golden.expected:
        case ToolCall() as call:
            return called(call)
        case str() as text:
            return said("assistant", text)


def test_reference_names_the_demo() -> None:
    assert MODEL_REFERENCE == "builtin:demo"


def test_directory_holds_the_model_and_no_code() -> None:
    assert {path.name for path in model_directory().iterdir()} == SHIPPED


def test_weights_are_small_enough_for_the_wheel() -> None:
    assert (model_directory() / "model.safetensors").stat().st_size <= 300_000


@pytest.mark.parametrize("golden", ANSWERED, ids=lambda golden: golden.name)
def test_text_is_the_golden_answer(golden: Golden, answers: dict[str, tuple[str, str | None]]) -> None:
    assert answers[golden.name] == (golden.expected, "stop")


@pytest.mark.parametrize("golden", CALLING, ids=lambda golden: golden.name)
def test_tool_call_is_the_golden_call(
    golden: Golden, answers: dict[str, tuple[str, str | None]], loaded: tuple[Any, TokenizerWrapper]
) -> None:
    tokenizer = loaded[1]
    text, reason = answers[golden.name]
    assert (reason, text[:11], text[-12:]) == ("stop", "<tool_call>", "</tool_call>")
    call = tokenizer.tool_parser(text[11:-12])
    assert ToolCall(call["name"], call["arguments"]) == golden.expected


def test_long_story_has_at_least_300_tokens(loaded: tuple[Any, TokenizerWrapper]) -> None:
    assert len(loaded[1].encode(long_story())) >= 300


def test_mlx_lm_recognises_the_tool_calls(loaded: tuple[Any, TokenizerWrapper]) -> None:
    tokenizer = loaded[1]
    assert tokenizer.has_tool_calling
    assert (tokenizer.tool_call_start, tokenizer.tool_call_end) == ("<tool_call>", "</tool_call>")


@pytest.mark.parametrize(
    "text", ["naïve ☃ 漢字 🏳️‍🌈\x00\t\r\n", "\ud7ff\uffff\U0010ffff", " leading  and trailing  "]
)
def test_any_text_survives_the_tokenizer(text: str, loaded: tuple[Any, TokenizerWrapper]) -> None:
    tokenizer = loaded[1]
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden.name)
def test_rendering_is_a_prefix_of_the_continuation(
    golden: Golden, loaded: tuple[Any, TokenizerWrapper]
) -> None:
    tokenizer = loaded[1]
    answered = (*golden.messages, _said_by_model(golden))
    prompt = tokenizer.encode(_rendered(tokenizer, golden.messages, golden, asks=True))
    after = tokenizer.encode(_rendered(tokenizer, answered, golden, asks=False))
    later = tokenizer.encode(_rendered(tokenizer, (*answered, said("user", "ping")), golden, asks=True))
    assert after[: len(prompt)] == prompt
    assert later[: len(after)] == after


def test_two_tool_results_extend_one(loaded: tuple[Any, TokenizerWrapper]) -> None:
    golden = next(golden for golden in GOLDEN if golden.name == "tool result as JSON")
    one = _rendered(loaded[1], golden.messages, golden, asks=False)
    two = _rendered(loaded[1], (*golden.messages, said("tool", "18 C")), golden, asks=False)
    assert two.startswith(one)


def test_arguments_may_be_an_object_or_its_json(loaded: tuple[Any, TokenizerWrapper]) -> None:
    golden = CALLING[0]
    function: JsonObject = {"name": "get_weather", "arguments": '{"city": "Paris"}'}
    as_text: JsonObject = {"role": "assistant", "content": None, "tool_calls": [{"function": function}]}
    as_object = called(ToolCall("get_weather", {"city": "Paris"}))
    renderings = [
        _rendered(loaded[1], (*golden.messages, message), golden, asks=False)
        for message in (as_text, as_object)
    ]
    assert renderings[0] == renderings[1]


def test_content_may_come_in_parts(loaded: tuple[Any, TokenizerWrapper]) -> None:
    golden = GOLDEN[0]
    parts: JsonObject = {
        "role": "user",
        "content": [{"type": "text", "text": "pi"}, {"type": "text", "text": "ng"}],
    }
    assert _rendered(loaded[1], (parts,), golden, asks=True) == _rendered(
        loaded[1], golden.messages, golden, asks=True
    )
