"""A real model that thinks, asked by OpenAI's client: its thoughts and its answers are told apart."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import jsonschema_rs
import pytest
from openai import OpenAI

from mlxhub.demo import THINKING_REFERENCE
from mlxhub.demo.golden import JSON_TEXT, STOP_TEXT, UNICODE_TEXT, WEATHER_TOOL, counted
from mlxhub.demo.thoughts import (
    JSON_THOUGHT,
    PING_THOUGHT,
    STOP_THOUGHT,
    UNICODE_THOUGHT,
    call_thought,
    count_thought,
    report_thought,
)
from tests.worker.processes import running_worker

OFF: list[dict[str, Any]] = [
    {"extra_body": {"chat_template_kwargs": {"enable_thinking": False}}},
    {"reasoning_effort": "none"},
]
SCHEMA = {
    "type": "object",
    "properties": {"ok": {"type": "boolean"}, "name": {"type": "string", "maxLength": 8}},
    "required": ["ok", "name"],
    "additionalProperties": False,
}
ENFORCED = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
CALL_THOUGHT = call_thought("get_weather", "Paris")


@pytest.fixture(scope="module")
def thinker() -> Iterator[OpenAI]:
    """A client of a worker with the model."""
    with (
        running_worker(model_path=THINKING_REFERENCE, max_concurrency=4) as running,
        running.openai as client,
    ):
        yield client


def ask(thinker: OpenAI, asked: str | Sequence[Any], **options: Any) -> Any:
    messages: Any = [{"role": "user", "content": asked}] if isinstance(asked, str) else asked
    return thinker.chat.completions.create(model="m", messages=messages, **options)


def chunks_of(thinker: OpenAI, asked: str, **options: Any) -> list[Any]:
    return list(ask(thinker, asked, stream=True, **options))


def said_in(chunks: list[Any], row: int = 0) -> tuple[str, str]:
    """The thought and the content that a stream told of one answer."""
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices if choice.index == row]
    thought = "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
    return thought, "".join(delta.content or "" for delta in deltas)


def test_a_thought_is_told_apart_from_the_answer(thinker: OpenAI) -> None:
    whole = ask(thinker, "count to 7")
    (choice,) = whole.choices
    assert (choice.message.reasoning_content, choice.message.content, choice.finish_reason) == (
        count_thought(7),
        counted(7),
        "stop",
    )
    assert 0 < whole.usage.completion_tokens_details.reasoning_tokens < whole.usage.completion_tokens - 7


def test_a_stream_tells_the_thought_first_and_counts_the_same(thinker: OpenAI) -> None:
    whole = ask(thinker, "count to 7")
    chunks = chunks_of(thinker, "count to 7", stream_options={"include_usage": True})
    assert said_in(chunks) == (count_thought(7), counted(7))
    kinds = ["content" if chunk.choices[0].delta.content else "thought" for chunk in chunks[1:-2]]
    assert kinds == sorted(kinds, reverse=True)
    assert min(kinds.count("thought"), kinds.count("content")) > 5
    told, counted_before = chunks[-1].usage, whole.usage
    assert told.completion_tokens_details == counted_before.completion_tokens_details
    assert told.completion_tokens == counted_before.completion_tokens


def test_characters_of_several_tokens_arrive_whole_in_a_thought(thinker: OpenAI) -> None:
    chunks = chunks_of(thinker, "unicode")
    assert said_in(chunks) == (UNICODE_THOUGHT, UNICODE_TEXT)
    assert "\ufffd" not in "".join(chunk.model_dump_json() for chunk in chunks)


@pytest.mark.parametrize("off", OFF, ids=["enable_thinking", "reasoning_effort"])
def test_who_wants_no_thought_gets_the_answer_at_once(thinker: OpenAI, off: dict[str, Any]) -> None:
    whole = ask(thinker, "ping", **off)
    assert whole.choices[0].message.content == "pong"
    assert "reasoning_content" not in whole.choices[0].message.to_dict()
    assert whole.usage.completion_tokens_details.reasoning_tokens == 0
    assert said_in(chunks_of(thinker, "ping", **off)) == ("", "pong")


@pytest.mark.parametrize("choice", ["auto", "required"])
def test_a_call_comes_after_its_thought(thinker: OpenAI, choice: str) -> None:
    options: Any = {"tools": [WEATHER_TOOL], "tool_choice": choice}
    (whole,) = ask(thinker, "weather in Paris", **options).choices
    (call,) = whole.message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "Paris"})
    assert (whole.message.reasoning_content, whole.message.content) == (CALL_THOUGHT, None)
    assert whole.finish_reason == "tool_calls"
    chunks = chunks_of(thinker, "weather in Paris", **options)
    assert said_in(chunks) == (CALL_THOUGHT, "")
    (streamed,) = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]
    assert streamed.function.arguments == call.function.arguments
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_a_call_is_enforced_once_the_thought_is_over(thinker: OpenAI) -> None:
    (choice,) = ask(thinker, "ping", tools=[WEATHER_TOOL], tool_choice="required", max_tokens=200).choices
    assert choice.message.reasoning_content == PING_THOUGHT
    assert {call.function.name for call in choice.message.tool_calls} == {"get_weather"}
    (choice,) = ask(
        thinker, "ping", tools=[WEATHER_TOOL], tool_choice="required", max_tokens=200, **OFF[1]
    ).choices
    assert "reasoning_content" not in choice.message.to_dict()
    assert {call.function.name for call in choice.message.tool_calls} == {"get_weather"}


def test_it_thinks_again_after_a_result_and_reads_nothing_twice(thinker: OpenAI) -> None:
    asked: list[Any] = [{"role": "user", "content": "weather in Paris"}]
    first = ask(thinker, asked, tools=[WEATHER_TOOL])
    call = first.choices[0].message.to_dict()
    assert call["reasoning_content"] == CALL_THOUGHT
    (called,) = call["tool_calls"]
    result = {"role": "tool", "tool_call_id": called["id"], "content": '{"temperature": 21, "sky": "clear"}'}
    second = ask(thinker, [*asked, call, result], tools=[WEATHER_TOOL])
    message = second.choices[0].message
    assert (message.reasoning_content, message.content) == (
        report_thought(21, "clear"),
        "It is 21 degrees and clear in Paris.",
    )
    # The client sent the thought back, and between a call and its result the template keeps it.
    known = first.usage.prompt_tokens + first.usage.completion_tokens - 1
    assert second.usage.prompt_tokens_details.cached_tokens >= known


def test_a_later_turn_finds_what_was_read_before(thinker: OpenAI) -> None:
    asked: list[Any] = [{"role": "user", "content": "tell me of the long and winding road " * 5}]
    first = ask(thinker, asked)
    answered = [*asked, first.choices[0].message.to_dict(), {"role": "user", "content": "ping"}]
    second = ask(thinker, answered)
    assert second.choices[0].message.content == "pong"
    # Up to the answer: the earlier thought is no longer in the prompt.
    assert second.usage.prompt_tokens_details.cached_tokens == first.usage.prompt_tokens


@pytest.mark.parametrize(("text", "thought"), [("json", JSON_THOUGHT), ("ping", PING_THOUGHT)])
def test_a_schema_is_enforced_once_the_thought_is_over(thinker: OpenAI, text: str, thought: str) -> None:
    (choice,) = ask(thinker, text, response_format=ENFORCED).choices
    assert (choice.message.reasoning_content, choice.finish_reason) == (thought, "stop")
    jsonschema_rs.validate(SCHEMA, json.loads(choice.message.content))
    assert said_in(chunks_of(thinker, text, response_format=ENFORCED)) == (thought, choice.message.content)


def test_without_a_thought_a_schema_is_enforced_at_once(thinker: OpenAI) -> None:
    (choice,) = ask(thinker, "ping", response_format=ENFORCED, **OFF[0]).choices
    assert "reasoning_content" not in choice.message.to_dict()
    jsonschema_rs.validate(SCHEMA, json.loads(choice.message.content))
    (choice,) = ask(thinker, "json", response_format={"type": "json_object"}, **OFF[0]).choices
    assert choice.message.content == JSON_TEXT


def test_an_answer_that_is_cut_within_its_thought_keeps_it(thinker: OpenAI) -> None:
    whole = ask(thinker, "ping", max_tokens=5)
    (choice,) = whole.choices
    assert choice.finish_reason == "length"
    assert choice.message.content == ""
    thought = choice.message.reasoning_content
    assert thought
    assert PING_THOUGHT.startswith(thought)
    assert whole.usage.completion_tokens_details.reasoning_tokens == 4
    chunks = chunks_of(thinker, "ping", max_tokens=5)
    assert said_in(chunks) == (thought, "")
    assert chunks[-1].choices[0].finish_reason == "length"


def test_a_stop_is_matched_in_thoughts_too(thinker: OpenAI) -> None:
    assert " STOP" in STOP_THOUGHT
    (choice,) = ask(thinker, "ab stop", stop=[" STOP"]).choices
    assert (choice.message.reasoning_content, choice.message.content, choice.finish_reason) == (
        STOP_THOUGHT.split(" STOP")[0],
        "",
        "stop",
    )


def test_a_stop_in_the_answer_leaves_the_thought_whole(thinker: OpenAI) -> None:
    chunks = chunks_of(thinker, "ab stop", stop=["ta STO"])
    assert said_in(chunks) == (STOP_THOUGHT, STOP_TEXT.split("ta STO")[0])
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_each_of_several_answers_has_a_thought(thinker: OpenAI) -> None:
    one, two = ask(thinker, "ping"), ask(thinker, "ping", n=2)
    assert [(choice.message.reasoning_content, choice.message.content) for choice in two.choices] == [
        (PING_THOUGHT, "pong")
    ] * 2
    of_one, of_two = (answer.usage.completion_tokens_details.reasoning_tokens for answer in (one, two))
    assert of_two == 2 * of_one
    chunks = chunks_of(thinker, "ping", n=2)
    assert [said_in(chunks, row) for row in (0, 1)] == [(PING_THOUGHT, "pong")] * 2
