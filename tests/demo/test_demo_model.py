"""The shipped demo models give their golden answers, and their templates let prefix caches hit."""

import pytest

from mlxhub import demo
from mlxhub.demo import MODEL_REFERENCE, THINKING_REFERENCE, model_directory
from mlxhub.demo.golden import GOLDEN, Golden, JsonObject, ToolCall, called, long_story, said
from tests.demo.asked import CASES, IDS, answers_of, rendered, said_by_model, tokenizer_of

SHIPPED = {
    "chat_template.jinja", "config.json", "generation_config.json", "model.safetensors", "tokenizer.json",
    "tokenizer_config.json",
}  # fmt: skip
CALLING = [golden for golden in GOLDEN if isinstance(golden.expected, ToolCall)]
BOTH = pytest.mark.parametrize("reference", [MODEL_REFERENCE, THINKING_REFERENCE])


def test_references_name_the_models() -> None:
    assert (MODEL_REFERENCE, THINKING_REFERENCE) == ("builtin:demo", "builtin:demo-thinking")
    assert demo.find("builtin:demo") == model_directory()
    assert demo.find("builtin:demo-thinking") == model_directory(THINKING_REFERENCE) != model_directory()
    assert demo.find("builtin:other") is None


@BOTH
def test_directory_holds_the_model_and_no_code(reference: str) -> None:
    assert {path.name for path in model_directory(reference).iterdir()} == SHIPPED


@BOTH
def test_a_model_is_small_enough_for_the_wheel(reference: str) -> None:
    sizes = {path.name: path.stat().st_size for path in model_directory(reference).iterdir()}
    assert sizes["model.safetensors"] <= 300_000
    assert sum(sizes.values()) <= 350_000


@pytest.mark.parametrize(("reference", "golden"), CASES, ids=IDS)
def test_the_answer_is_the_golden_one(reference: str, golden: Golden) -> None:
    text, reason = answers_of(reference)[golden.name]
    assert reason == "stop"
    thought = f"<think>\n{golden.thought}\n</think>\n\n" if golden.thought else ""
    assert text.startswith(thought)
    answer = text.removeprefix(thought)
    if isinstance(golden.expected, str):
        assert answer == golden.expected
    else:
        assert (answer[:11], answer[-12:]) == ("<tool_call>", "</tool_call>")
        call = tokenizer_of(reference).tool_parser(answer[11:-12])
        assert ToolCall(call["name"], call["arguments"]) == golden.expected


@BOTH
def test_long_story_has_at_least_300_tokens(reference: str) -> None:
    assert len(tokenizer_of(reference).encode(long_story())) >= 300


@BOTH
def test_mlx_lm_recognises_the_tool_calls(reference: str) -> None:
    tokenizer = tokenizer_of(reference)
    assert tokenizer.has_tool_calling
    assert (tokenizer.tool_call_start, tokenizer.tool_call_end) == ("<tool_call>", "</tool_call>")


@pytest.mark.parametrize(
    "text", ["naïve ☃ 漢字 🏳️‍🌈\x00\t\r\n", "\ud7ff\uffff\U0010ffff", " leading  and trailing  "]
)
@BOTH
def test_any_text_survives_the_tokenizer(text: str, reference: str) -> None:
    tokenizer = tokenizer_of(reference)
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize(("reference", "golden"), CASES, ids=IDS)
def test_a_prompt_is_a_prefix_of_the_answered_conversation(reference: str, golden: Golden) -> None:
    tokenizer = tokenizer_of(reference)
    answered = (*golden.messages, said_by_model(golden))
    prompt = tokenizer.encode(rendered(tokenizer, golden.messages, golden, asks=True))
    after = tokenizer.encode(rendered(tokenizer, answered, golden, asks=False))
    assert after[: len(prompt)] == prompt


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden.name)
def test_without_thoughts_a_conversation_is_a_prefix_of_its_next_turn(golden: Golden) -> None:
    tokenizer = tokenizer_of(MODEL_REFERENCE)
    answered = (*golden.messages, said_by_model(golden))
    after = tokenizer.encode(rendered(tokenizer, answered, golden, asks=False))
    later = tokenizer.encode(rendered(tokenizer, (*answered, said("user", "ping")), golden, asks=True))
    assert later[: len(after)] == after


@BOTH
def test_two_tool_results_extend_one(reference: str) -> None:
    tokenizer = tokenizer_of(reference)
    golden = next(golden for golden in GOLDEN if golden.name == "tool result as JSON")
    one = rendered(tokenizer, golden.messages, golden, asks=False)
    two = rendered(tokenizer, (*golden.messages, said("tool", "18 C")), golden, asks=False)
    assert two.startswith(one)


@BOTH
def test_arguments_may_be_an_object_or_its_json(reference: str) -> None:
    golden = CALLING[0]
    function: JsonObject = {"name": "get_weather", "arguments": '{"city": "Paris"}'}
    as_text: JsonObject = {"role": "assistant", "content": None, "tool_calls": [{"function": function}]}
    as_object = called(ToolCall("get_weather", {"city": "Paris"}))
    renderings = [
        rendered(tokenizer_of(reference), (*golden.messages, message), golden, asks=False)
        for message in (as_text, as_object)
    ]
    assert renderings[0] == renderings[1]


@BOTH
def test_content_may_come_in_parts(reference: str) -> None:
    golden = GOLDEN[0]
    tokenizer = tokenizer_of(reference)
    parts: JsonObject = {
        "role": "user",
        "content": [{"type": "text", "text": "pi"}, {"type": "text", "text": "ng"}],
    }
    assert rendered(tokenizer, (parts,), golden, asks=True) == rendered(
        tokenizer, golden.messages, golden, asks=True
    )
