"""Anthropic's client asks a worker with the real demo model."""

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from tests.events import kinds, typed_events
from tests.worker.leaving import require_freed_row
from tests.worker.processes import Worker, running_worker

STORY = "tell me a long story"
GREEDY = {"temperature": 0}
WEATHER: Any = {
    "name": "get_weather",
    "description": "Get the weather in a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def says(*texts: str) -> Any:
    """A conversation that the user begins."""
    return [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(texts)]


@pytest.fixture(scope="module")
def demo() -> Iterator[Worker]:
    with running_worker(model_path="builtin:demo", max_concurrency=4) as running:
        yield running


@pytest.fixture(scope="module")
def client(demo: Worker) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=demo.url, api_key="none", max_retries=0, timeout=20) as client:
        yield client


def test_the_first_request_loads_and_ping_is_answered(client: anthropic.Anthropic) -> None:
    answer = client.messages.create(model="m", max_tokens=50, messages=says("ping"), extra_body=GREEDY)
    (block,) = answer.content
    assert block.type == "text"
    assert (block.text, answer.stop_reason, answer.stop_sequence) == ("pong", "end_turn", None)
    assert (answer.role, answer.model, answer.id[:4]) == ("assistant", "m", "msg_")
    assert (answer.usage.cache_read_input_tokens, answer.usage.cache_creation_input_tokens) == (0, 0)
    counted = client.messages.count_tokens(model="m", messages=says("ping"))
    assert counted.input_tokens == answer.usage.input_tokens
    assert str(answer._request_id).startswith("req_")


def test_a_stream_says_the_same_in_the_order_of_the_api(demo: Worker, client: anthropic.Anthropic) -> None:
    body = {"model": "m", "max_tokens": 50, "messages": says("count to 7"), **GREEDY}
    whole = demo.post("/v1/messages", body).json()
    events = typed_events(demo.post("/v1/messages", {**body, "stream": True}).text)
    begin, block, *deltas, stop, delta, end = events
    assert kinds([begin, block, stop, delta, end]) == [
        "message_start", "content_block_start", "content_block_stop", "message_delta", "message_stop"
    ]  # fmt: skip
    assert (begin["message"]["content"], begin["message"]["stop_reason"]) == ([], None)
    assert begin["message"]["usage"]["input_tokens"] == whole["usage"]["input_tokens"]
    assert (block["index"], block["content_block"]) == (0, {"type": "text", "text": ""})
    assert {each["type"] for each in deltas} == {"content_block_delta"}
    assert "".join(each["delta"]["text"] for each in deltas) == "1 2 3 4 5 6 7"
    assert len(deltas) > 3
    assert delta["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert delta["usage"] == whole["usage"]
    with client.messages.stream(
        model="m", max_tokens=50, messages=says("count to 7"), extra_body=GREEDY
    ) as stream:
        assert stream.get_final_text() == whole["content"][0]["text"]


@pytest.mark.parametrize("stream", [False, True])
def test_the_stop_that_ended_it_is_told(client: anthropic.Anthropic, stream: bool) -> None:
    asked: Any = {
        "model": "m",
        "max_tokens": 50,
        "messages": says("ab stop"),
        "stop_sequences": ["never", "STOP"],
        "extra_body": GREEDY,
    }
    if stream:
        with client.messages.stream(**asked) as events:
            answer: Any = events.get_final_message()
    else:
        answer = client.messages.create(**asked)
    assert answer.content[0].text == "alpha beta "
    assert (answer.stop_reason, answer.stop_sequence) == ("stop_sequence", "STOP")


def test_max_tokens_is_a_limit_and_said_to_be_the_reason(client: anthropic.Anthropic) -> None:
    answer = client.messages.create(model="m", max_tokens=5, messages=says(STORY), extra_body=GREEDY)
    assert (answer.stop_reason, answer.usage.output_tokens) == ("max_tokens", 5)


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_is_used_and_its_result_is_told(client: anthropic.Anthropic, stream: bool) -> None:
    messages = says("weather in Paris")
    asked: Any = {"model": "m", "max_tokens": 90, "tools": [WEATHER], "extra_body": GREEDY}
    if stream:
        with client.messages.stream(messages=messages, **asked) as events:
            first: Any = events.get_final_message()
    else:
        first = client.messages.create(messages=messages, **asked)
    (call,) = first.content
    assert first.stop_reason == "tool_use"
    assert (call.type, call.name, call.input) == ("tool_use", "get_weather", {"city": "Paris"})
    assert call.id.startswith("toolu_")
    result = {
        "type": "tool_result",
        "tool_use_id": call.id,
        "content": [{"type": "text", "text": '{"temperature": 21, "sky": "clear"}'}],
    }
    use = {"type": "tool_use", "id": call.id, "name": call.name, "input": call.input}
    messages += [{"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]
    second = client.messages.create(messages=messages, **asked)
    assert second.content[0].text == "It is 21 degrees and clear in Paris."
    assert second.stop_reason == "end_turn"


def test_a_tool_that_must_not_be_used_is_not(client: anthropic.Anthropic) -> None:
    answer: Any = client.messages.create(
        model="m",
        max_tokens=90,
        messages=says("weather in Paris"),
        tools=[WEATHER],
        tool_choice={"type": "none"},
        extra_body=GREEDY,
    )
    assert answer.content[0].text == "I cannot see the weather in Paris without a tool."


def test_a_system_prompt_and_earlier_turns_are_read(client: anthropic.Anthropic) -> None:
    answer: Any = client.messages.create(
        model="m",
        max_tokens=20,
        system=[{"type": "text", "text": "You are brief.", "cache_control": {"type": "ephemeral"}}],
        messages=says("capital of Italy", "The capital of Italy is Rome.", "ping"),
        metadata={"user_id": "me"},
        extra_body={**GREEDY, "no_such_field": 1},
    )
    assert answer.content[0].text == "pong"


def test_what_was_read_before_is_counted_apart(client: anthropic.Anthropic) -> None:
    asked: Any = {"model": "m", "max_tokens": 5, "messages": says("ping"), "system": "You are brief. " * 20}
    first, second = (client.messages.create(**asked).usage for _ in range(2))
    assert first.cache_read_input_tokens == 0
    read = second.cache_read_input_tokens
    assert read is not None
    assert read > 32
    assert second.input_tokens + read == first.input_tokens


def test_tokens_are_counted_beyond_the_context_too(client: anthropic.Anthropic, demo: Worker) -> None:
    many = client.messages.count_tokens(model="m", messages=says("ping " * 5000))
    context = demo.status().context_length
    assert context is not None
    assert many.input_tokens > context
    with_tools = client.messages.count_tokens(model="m", messages=says("ping", "pong"), tools=[WEATHER])
    assert with_tools.input_tokens > 60
    with pytest.raises(anthropic.BadRequestError, match="at least"):
        client.messages.count_tokens(model="m", messages=says("ping " * 1_000_000))
    assert demo.status().in_flight == 0


def parts(*parts: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [*parts]}]}


GOOD: dict[str, Any] = {"model": "m", "max_tokens": 1, "messages": says("ping")}
CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"max_tokens": None}, "max_tokens"),
    ({"messages": []}, "messages"),
    ({"messages": says("x", "y")}, "messages"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0]"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
    (parts({"type": "image", "source": {}}), "messages[0].content[0].source"),
    (parts({"type": "document"}), "messages[0].content[0]"),
    (parts({"type": "text"}), "messages[0].content[0].text"),
    ({"system": [{"type": "image"}]}, "system[0]"),
    ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0].type"),
    ({"tools": [{"name": "f"}]}, "tools[0].input_schema"),
    ({"tool_choice": {"type": "some"}}, "tool_choice"),
    ({"thinking": {"type": "loud"}}, "thinking.type"),
    ({"thread": {"type": "create"}}, "thread"),
]  # fmt: skip


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("change", "param"), CHANGES, ids=[f"{p}-{i}" for i, (_, p) in enumerate(CHANGES)])
def test_a_bad_field_is_named(demo: Worker, change: dict[str, Any], param: str, stream: bool) -> None:
    response = demo.post("/v1/messages", {**GOOD, **change, "stream": stream})
    said = response.json()
    assert response.status_code == 400, said
    assert (said["type"], said["error"]["type"]) == ("error", "invalid_request_error")
    assert said["error"]["message"].startswith(f"{param}: ")
    assert said["request_id"] == response.headers["x-request-id"]


def test_errors_are_those_of_anthropics_client(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError) as unknown:
        client.messages.create(model="claude", max_tokens=5, messages=says("ping"))
    body: Any = unknown.value.body
    assert body["error"]["type"] == "not_found_error"
    with pytest.raises(anthropic.BadRequestError, match="This model's maximum context"):
        client.messages.create(model="m", max_tokens=5, messages=says("ping " * 5000))


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_frees_its_row(demo: Worker, stream: bool) -> None:
    body = {"model": "m", "max_tokens": 8000, "messages": says(STORY), "stream": stream, **GREEDY}
    require_freed_row(demo, "/v1/messages", body)
