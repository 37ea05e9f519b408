"""OpenAI's client asks a worker with the real demo model by the Responses API."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai.types.responses import Response

from tests.events import kinds, typed_events
from tests.worker.leaving import require_freed_row
from tests.worker.processes import Worker, running_worker

STORY = "tell me a long story"
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "Get the weather in a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": False,
}


@pytest.fixture(scope="module")
def demo() -> Iterator[Worker]:
    with running_worker(model_path="builtin:demo", max_concurrency=4) as running:
        yield running


@pytest.fixture(scope="module")
def client(demo: Worker) -> Iterator[openai.OpenAI]:
    with demo.openai as client:
        yield client


def test_a_whole_response_is_openais(demo: Worker) -> None:
    body = {
        "model": "m",
        "input": "ping",
        "temperature": 0,
        "metadata": {"a": "b"},
        "store": True,
        "truncation": "auto",
        "user": "me",
        "tools": [WEATHER],
    }
    said = demo.post("/v1/responses", body).json()
    response = Response.model_validate(said, strict=True)
    assert (response.output_text, response.status, response.error) == ("pong", "completed", None)
    assert (response.id[:5], response.model, said["store"]) == ("resp_", "m", False)
    assert (response.metadata, response.tools[0].type) == ({"a": "b"}, "function")
    assert response.usage is not None
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens


def test_a_stream_says_the_same_in_the_order_of_the_api(demo: Worker, client: openai.OpenAI) -> None:
    body: Any = {"model": "m", "input": "count to 7", "temperature": 0}
    whole = client.responses.create(**body)
    events = typed_events(demo.post("/v1/responses", {**body, "stream": True}).text)
    assert [event["sequence_number"] for event in events] == [*range(len(events))]
    deltas = [event for event in events if event["type"] == "response.output_text.delta"]
    first, last = events.index(deltas[0]), events.index(deltas[-1])
    assert kinds(events[:first]) == [
        "response.created", "response.in_progress", "response.output_item.added",
        "response.content_part.added",
    ]  # fmt: skip
    assert kinds(events[last + 1 :]) == [
        "response.output_text.done", "response.content_part.done", "response.output_item.done",
        "response.completed",
    ]  # fmt: skip
    assert "".join(delta["delta"] for delta in deltas) == whole.output_text == events[last + 1]["text"]
    assert {delta["item_id"] for delta in deltas} == {events[-1]["response"]["output"][0]["id"]}
    assert events[-1]["response"]["usage"] == whole.to_dict()["usage"]
    with client.responses.stream(**body) as stream:
        assert stream.get_final_response().output_text == whole.output_text


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_is_cut_is_incomplete(client: openai.OpenAI, stream: bool) -> None:
    body: Any = {"model": "m", "input": STORY, "temperature": 0, "max_output_tokens": 5}
    response = client.responses.create(**body)
    if stream:
        events = list(client.responses.create(**body, stream=True))
        assert events[-1].type == "response.incomplete"
        response = events[-1].response
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"
    assert response.output[-1].to_dict()["status"] == "incomplete"
    assert response.usage is not None
    assert response.usage.output_tokens == 5


@pytest.mark.parametrize("stream", [False, True])
def test_a_function_is_called_and_its_output_is_used(client: openai.OpenAI, stream: bool) -> None:
    asked: Any = {"model": "m", "temperature": 0, "tools": [WEATHER]}
    if stream:
        with client.responses.stream(input="weather in Paris", **asked) as events:
            seen = [event.type for event in events]
            first: Any = events.get_final_response()
        assert seen == [
            "response.created", "response.in_progress", "response.output_item.added",
            "response.function_call_arguments.delta", "response.function_call_arguments.done",
            "response.output_item.done", "response.completed",
        ]  # fmt: skip
    else:
        first = client.responses.create(input="weather in Paris", **asked)
    (call,) = first.output
    assert (call.type, call.name, json.loads(call.arguments)) == (
        "function_call",
        "get_weather",
        {"city": "Paris"},
    )
    weather = '{"temperature": 21, "sky": "clear"}'
    conversation: Any = [
        {"role": "user", "content": "weather in Paris"},
        {"type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": call.arguments},
        {"type": "function_call_output", "call_id": call.call_id, "output": weather},
    ]
    second = client.responses.create(input=conversation, **asked)
    assert second.output_text == "It is 21 degrees and clear in Paris."


def test_tools_that_others_would_run_are_ignored_and_that_is_said(demo: Worker) -> None:
    """Agents offer them to whoever answers."""
    group = {"type": "namespace", "name": "agents", "tools": [WEATHER]}
    asked = {"model": "m", "input": "ping", "tools": [WEATHER, {"type": "web_search"}, group]}
    answer = demo.post("/v1/responses", asked)
    assert answer.status_code == 200
    assert answer.headers["x-mlxhub-ignored"] == "tools"
    assert [tool["name"] for tool in answer.json()["tools"]] == ["get_weather"]
    alone = demo.post("/v1/responses", asked | {"tools": [WEATHER]})
    assert "x-mlxhub-ignored" not in alone.headers


@pytest.mark.parametrize("stream", [False, True])
def test_how_likely_each_token_was_is_told(client: openai.OpenAI, stream: bool) -> None:
    asked: Any = {"model": "m", "input": "count to 7", "temperature": 0, "top_logprobs": 3}
    told: list[Any] = []
    if stream:
        with client.responses.stream(**asked, include=["message.output_text.logprobs"]) as events:
            for event in events:
                told += event.logprobs if event.type == "response.output_text.delta" else []
            response: Any = events.get_final_response()
    else:
        response = client.responses.create(**asked)
    part = response.output[-1].content[0]
    assert "".join(each.token for each in part.logprobs) == part.text == "1 2 3 4 5 6 7"
    assert [len(each.top_logprobs) for each in part.logprobs] == [3] * len(part.logprobs)
    assert response.top_logprobs == 3
    if stream:
        assert [each.token for each in told] == [each.token for each in part.logprobs]


def test_what_was_read_before_is_counted_apart(client: openai.OpenAI) -> None:
    asked: Any = {"model": "m", "input": "ping", "instructions": "You are brief. " * 20}
    first, second = (client.responses.create(**asked).usage for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.input_tokens_details.cached_tokens == 0
    assert second.input_tokens_details.cached_tokens > 32
    assert second.input_tokens == first.input_tokens


def test_instructions_and_items_of_every_kind_are_read(client: openai.OpenAI) -> None:
    asked, said = "capital of Italy", "The capital of Italy is Rome."
    conversation: Any = [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": asked}]},
        {"type": "reasoning", "id": "rs_1", "content": [{"type": "reasoning_text", "text": "hm"}]},
        {"role": "assistant", "status": "completed", "content": [{"type": "output_text", "text": said}]},
        {"role": "user", "content": "ping"},
    ]
    response = client.responses.create(
        model="m",
        instructions="You are brief.",
        temperature=0,
        reasoning={"effort": "none"},
        text={"format": {"type": "text"}},
        input=conversation,
    )
    assert response.output_text == "pong"


def items(*items: Any) -> dict[str, Any]:
    return {"input": [*items]}


GOOD: dict[str, Any] = {"model": "m", "input": "ping", "max_output_tokens": 1}
CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"input": None}, "input"),
    ({"input": []}, "input"),
    ({"input": 5}, "input"),
    ({"input": [{"type": "reasoning", "summary": []}]}, "input"),
    ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0]"),
    ({"input": [{"role": "wizard", "content": "x"}]}, "input[0].role"),
    ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, "input[0].content[0]"),
    (items({"role": "user", "content": "x"}, {"type": "function_call", "name": "f"}), "input[1].call_id"),
    ({"tools": [{"type": "web_search"}, {"type": "function"}]}, "tools[1].name"),
    ({"tools": [{"name": "f"}]}, "tools[0]"),
    ({"tools": [{"type": "web_search"}], "tool_choice": "required"}, "tool_choice"),
    ({"text": {"format": {"type": "xml"}}}, "text.format"),
    ({"include": "message.output_text.logprobs"}, "include"),
    ({"metadata": {"a": 1}}, "metadata.a"),
    ({"previous_response_id": "resp_1"}, "previous_response_id"),
    ({"conversation": "conv_1"}, "conversation"),
    ({"background": True}, "background"),
]  # fmt: skip


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("change", "param"), CHANGES, ids=[f"{p}-{i}" for i, (_, p) in enumerate(CHANGES)])
def test_a_bad_field_is_named(demo: Worker, change: dict[str, Any], param: str, stream: bool) -> None:
    response = demo.post("/v1/responses", {**GOOD, **change, "stream": stream})
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (400, param), error
    assert error["message"].startswith(f"{param}: ")


def test_an_unknown_model_is_said_to_be_none(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="Models: m"):
        client.responses.create(model="nobody", input="ping")


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_frees_its_row(demo: Worker, stream: bool) -> None:
    body = {"model": "m", "input": STORY, "stream": stream, "temperature": 0}
    require_freed_row(demo, "/v1/responses", body)
