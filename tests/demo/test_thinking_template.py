"""The thinking demo model's chat template treats thoughts as Qwen3's does."""

from typing import Any

from mlxhub.demo import THINKING_REFERENCE
from mlxhub.demo.golden import WEATHER_TOOL, JsonObject, ToolCall, called, said
from mlxhub.demo.thoughts import thinking
from tests.demo.asked import tokenizer_of

PING, PONG = said("user", "ping"), said("assistant", "pong")
THOUGHTFUL_PONG = thinking(PONG, "hm")
CALL = called(ToolCall("get_weather", {"city": "Paris"}))
CALLED = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>'
RESULT = said("tool", "18 C, clear")


def render(*messages: JsonObject, asks: bool = True, **options: Any) -> str:
    text = tokenizer_of(THINKING_REFERENCE).apply_chat_template(
        list(messages), tokenize=False, add_generation_prompt=asks, **options
    )
    assert isinstance(text, str)
    return text


def turn(role: str, text: str) -> str:
    return f"<|im_start|>{role}\n{text}<|im_end|>\n"


def test_mlx_lm_recognises_the_thoughts_by_single_tokens() -> None:
    tokenizer = tokenizer_of(THINKING_REFERENCE)
    assert (tokenizer.think_start, tokenizer.think_end) == ("<think>", "</think>")
    assert tokenizer.encode("<think>") == [tokenizer.think_start_id]
    assert tokenizer.encode("</think>") == [tokenizer.think_end_id]


def test_the_model_opens_its_thought_itself() -> None:
    asked = turn("user", "ping") + "<|im_start|>assistant\n"
    assert render(PING) == asked
    assert render(PING, enable_thinking=True) == asked


def test_without_thinking_the_prompt_ends_in_a_closed_thought() -> None:
    asked = turn("user", "ping") + "<|im_start|>assistant\n<think>\n\n</think>\n\n"
    assert render(PING, enable_thinking=False) == asked


def test_the_closed_thought_has_the_same_tokens_whatever_follows() -> None:
    tokenizer = tokenizer_of(THINKING_REFERENCE)
    closed = tokenizer.encode("<think>\n\n</think>\n\n")
    for answer in ("pong", " pong", "{", "1 2", "<tool_call>\n", "🦊"):
        assert tokenizer.encode(f"<think>\n\n</think>\n\n{answer}")[: len(closed)] == closed


def test_thoughts_before_the_users_last_words_are_dropped() -> None:
    plain = turn("user", "ping") + turn("assistant", "pong") + turn("user", "ping")
    within = said("assistant", "<think>\nhm\n</think>\n\npong")
    for earlier in (PONG, THOUGHTFUL_PONG, within):
        assert render(PING, earlier, PING) == plain + "<|im_start|>assistant\n"


def test_the_last_turn_keeps_its_thought_or_has_a_closed_one() -> None:
    asked = turn("user", "ping")
    assert render(PING, THOUGHTFUL_PONG, asks=False) == asked + turn(
        "assistant", "<think>\nhm\n</think>\n\npong"
    )
    assert render(PING, PONG, asks=False) == asked + turn("assistant", "<think>\n\n</think>\n\npong")


def test_between_a_call_and_its_result_a_thought_stays() -> None:
    prompt = render(PING, tools=[WEATHER_TOOL])
    kept = render(PING, thinking(CALL, "hm"), RESULT, tools=[WEATHER_TOOL])
    assert kept == (
        f"{prompt}<think>\nhm\n</think>\n\n{CALLED}<|im_end|>\n"
        + turn("tool", "18 C, clear")
        + "<|im_start|>assistant\n"
    )
    without = render(PING, CALL, RESULT, tools=[WEATHER_TOOL])
    assert without == kept.replace("<think>\nhm\n</think>\n\n", "")


def test_all_thoughts_stay_where_they_are_to_be_preserved() -> None:
    whole = render(PING, THOUGHTFUL_PONG, PING, preserve_thinking=True)
    assert whole == (
        turn("user", "ping")
        + turn("assistant", "<think>\nhm\n</think>\n\npong")
        + turn("user", "ping")
        + "<|im_start|>assistant\n"
    )
