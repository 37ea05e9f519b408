"""A real model that thinks, asked by the Responses API and by Anthropic's, with their clients."""

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from mlxhub.demo import THINKING_REFERENCE
from mlxhub.demo.golden import WEATHER_TOOL
from mlxhub.demo.thoughts import PING_THOUGHT, call_thought, report_thought
from tests.events import kinds, typed_events
from tests.worker.processes import Worker, running_worker

DESCRIBED: Any = WEATHER_TOOL["function"]
FUNCTION = {"type": "function", **DESCRIBED}
TOOL = {
    "name": "get_weather", "description": DESCRIBED["description"], "input_schema": DESCRIBED["parameters"]
}  # fmt: skip
CALL_THOUGHT = call_thought("get_weather", "Paris")
SKY = '{"temperature": 21, "sky": "clear"}'
REPORT = "It is 21 degrees and clear in Paris."
PING: Any = [{"role": "user", "content": "ping"}]
WEATHER: Any = [{"role": "user", "content": "weather in Paris"}]


@pytest.fixture(scope="module")
def thinker() -> Iterator[Worker]:
    with running_worker(model_path=THINKING_REFERENCE, max_concurrency=4) as running:
        yield running


@pytest.fixture(scope="module")
def client(thinker: Worker) -> Iterator[openai.OpenAI]:
    with thinker.openai as client:
        yield client


@pytest.fixture(scope="module")
def claude(thinker: Worker) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=thinker.url, api_key="none", max_retries=0, timeout=20) as client:
        yield client


def items(response: Any) -> list[tuple[str, str]]:
    """What each item of a response is, and its text."""
    return [
        (item.type, "".join(part.text for part in item.content))
        for item in response.output
        if item.type in {"reasoning", "message"}
    ]


@pytest.mark.parametrize("stream", [False, True])
def test_a_response_has_an_item_for_the_thought(client: openai.OpenAI, stream: bool) -> None:
    if stream:
        with client.responses.stream(model="m", input="ping") as events:
            response: Any = events.get_final_response()
    else:
        response = client.responses.create(model="m", input="ping")
    assert items(response) == [("reasoning", PING_THOUGHT), ("message", "pong")]
    assert 0 < response.usage.output_tokens_details.reasoning_tokens < response.usage.output_tokens


def test_a_stream_has_the_events_of_both_items_in_their_order(thinker: Worker) -> None:
    events = typed_events(thinker.post("/v1/responses", {"model": "m", "input": "ping", "stream": True}).text)
    deltas = {"response.reasoning_text.delta", "response.output_text.delta"}
    assert [kind for kind in kinds(events) if kind not in deltas] == [
        "response.created", "response.in_progress",
        "response.output_item.added", "response.content_part.added", "response.reasoning_text.done",
        "response.content_part.done", "response.output_item.done",
        "response.output_item.added", "response.content_part.added", "response.output_text.done",
        "response.content_part.done", "response.output_item.done",
        "response.completed",
    ]  # fmt: skip
    for kind, text in (("reasoning_text", PING_THOUGHT), ("output_text", "pong")):
        said = [event for event in events if event["type"].startswith(f"response.{kind}.")]
        assert "".join(event["delta"] for event in said[:-1]) == said[-1]["text"] == text


@pytest.mark.parametrize("stream", [False, True])
def test_a_response_without_effort_has_no_thought(client: openai.OpenAI, stream: bool) -> None:
    asked: Any = {"model": "m", "input": "ping", "reasoning": {"effort": "none"}}
    if stream:
        with client.responses.stream(**asked) as events:
            response: Any = events.get_final_response()
    else:
        response = client.responses.create(**asked)
    assert items(response) == [("message", "pong")]
    assert response.usage.output_tokens_details.reasoning_tokens == 0


def test_a_response_that_is_cut_within_its_thought_is_incomplete(client: openai.OpenAI) -> None:
    response = client.responses.create(model="m", input="ping", max_output_tokens=5)
    assert response.status == "incomplete"
    ((kind, thought),) = items(response)
    assert (kind, PING_THOUGHT.startswith(thought), thought != "") == ("reasoning", True, True)


@pytest.mark.parametrize("choice", ["auto", "required"])
def test_a_response_calls_after_a_thought_and_thinks_of_the_result(
    client: openai.OpenAI, choice: Any
) -> None:
    first: Any = client.responses.create(model="m", input=WEATHER, tools=[FUNCTION], tool_choice=choice)
    thought, call = first.output
    assert items(first) == [("reasoning", CALL_THOUGHT)]
    assert (call.name, json.loads(call.arguments)) == ("get_weather", {"city": "Paris"})
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": SKY}
    back: Any = [*WEATHER, thought.to_dict(), call.to_dict(), result]
    second: Any = client.responses.create(model="m", input=back, tools=[FUNCTION])
    assert items(second) == [("reasoning", report_thought(21, "clear")), ("message", REPORT)]
    assert second.usage.input_tokens_details.cached_tokens > first.usage.input_tokens


def blocks(message: Any) -> list[tuple[str, str]]:
    """What each block of a message is, and its text."""
    return [
        (block.type, block.thinking if block.type == "thinking" else block.text) for block in message.content
    ]


def ask(claude: anthropic.Anthropic, messages: Any, *, stream: bool = False, **options: Any) -> Any:
    asked: Any = {"model": "m", "max_tokens": 2000, "messages": messages, **options}
    if not stream:
        return claude.messages.create(**asked)
    with claude.messages.stream(**asked) as events:
        return events.get_final_message()


@pytest.mark.parametrize("stream", [False, True])
def test_a_message_has_a_block_for_the_thought(claude: anthropic.Anthropic, stream: bool) -> None:
    for options in ({}, {"thinking": {"type": "enabled", "budget_tokens": 1024}}):
        message = ask(claude, PING, stream=stream, **options)
        assert blocks(message) == [("thinking", PING_THOUGHT), ("text", "pong")]
        assert message.stop_reason == "end_turn"


@pytest.mark.parametrize("stream", [False, True])
def test_thinking_that_is_disabled_leaves_the_text_alone(claude: anthropic.Anthropic, stream: bool) -> None:
    message = ask(claude, PING, stream=stream, thinking={"type": "disabled"})
    assert blocks(message) == [("text", "pong")]


def test_a_message_that_is_cut_within_its_thought_keeps_it(claude: anthropic.Anthropic) -> None:
    message = ask(claude, PING, max_tokens=5)
    ((kind, thought),) = blocks(message)
    assert (kind, PING_THOUGHT.startswith(thought), thought != "") == ("thinking", True, True)
    assert message.stop_reason == "max_tokens"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("choice", ["auto", "any"])
def test_a_tool_is_used_after_a_thought_and_its_result_thought_of(
    claude: anthropic.Anthropic, choice: str, stream: bool
) -> None:
    first = ask(claude, WEATHER, stream=stream, tools=[TOOL], tool_choice={"type": choice})
    thought, call = first.content
    assert blocks(first.model_copy(update={"content": [thought]})) == [("thinking", CALL_THOUGHT)]
    assert (call.type, call.name, call.input, first.stop_reason) == (
        "tool_use", "get_weather", {"city": "Paris"}, "tool_use",
    )  # fmt: skip
    result = {"type": "tool_result", "tool_use_id": call.id, "content": SKY}
    back = [
        *WEATHER,
        {"role": "assistant", "content": [thought.to_dict(), call.to_dict()]},
        {"role": "user", "content": [result]},
    ]
    second = ask(claude, back, stream=stream, tools=[TOOL])
    assert blocks(second) == [("thinking", report_thought(21, "clear")), ("text", REPORT)]
    assert second.usage.cache_read_input_tokens > first.usage.input_tokens
