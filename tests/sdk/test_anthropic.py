"""Anthropic's client for Python."""

import asyncio
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from tests.sdk.asked import (
    CARD,
    COUNTED,
    ENDLESS_TEXT,
    PARIS,
    PONG,
    REPORT,
    SKY,
    TOO_LONG,
    UNKNOWN_MODEL,
    WEATHER_SCHEMA,
    Card,
    user,
)
from tests.sdk.busy import cancel_while_generating, ended_early, full_queue, waiting_as_told
from tests.worker.processes import Worker

ASKED: Any = {"model": "demo", "max_tokens": 100, "extra_body": {"temperature": 0}}
WEATHER: Any = {
    "name": WEATHER_SCHEMA["name"],
    "description": WEATHER_SCHEMA["description"],
    "input_schema": WEATHER_SCHEMA["parameters"],
}
ENDLESS: Any = {
    "model": "demo",
    "max_tokens": 5000,
    "messages": user("x"),
    "output_config": {"format": {"type": "json_schema", "schema": ENDLESS_TEXT}},
}


def connect(worker: Worker, **options: Any) -> anthropic.Anthropic:
    wanted: Any = {"max_retries": 0, "timeout": 20, **options}
    return anthropic.Anthropic(base_url=worker.url, auth_token="none", **wanted)


def connect_async(worker: Worker) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=worker.url, auth_token="none", max_retries=0, timeout=20)


@pytest.fixture
def client(worker: Worker) -> Iterator[anthropic.Anthropic]:
    with connect(worker) as client:
        yield client


def said(message: Any) -> str:
    (block,) = message.content
    return str(block.text)


def test_a_message(client: anthropic.Anthropic) -> None:
    answer = client.messages.create(messages=user("ping"), **ASKED)
    assert (said(answer), answer.stop_reason, answer.model) == (PONG, "end_turn", "demo")
    counted = client.messages.count_tokens(model="demo", messages=user("ping"))
    assert answer.usage.input_tokens + (answer.usage.cache_read_input_tokens or 0) == counted.input_tokens


def test_a_request_has_its_id(client: anthropic.Anthropic) -> None:
    answer = client.messages.create(messages=user("ping"), **ASKED)
    assert str(answer._request_id).startswith("req_")
    counted = client.messages.count_tokens(model="demo", messages=user("ping"))
    assert str(counted._request_id).startswith("req_")
    with client.messages.stream(messages=user("ping"), **ASKED) as stream:
        assert str(stream.request_id).startswith("req_")


def test_the_models(client: anthropic.Anthropic) -> None:
    assert [model.id for model in client.models.list()] == ["demo"]
    assert client.models.retrieve("demo").id == "demo"


def test_a_stream(client: anthropic.Anthropic) -> None:
    with client.messages.stream(messages=user("count to 30"), **ASKED) as stream:
        pieces = list(stream.text_stream)
        answer = stream.get_final_message()
    assert "".join(pieces) == said(answer) == COUNTED
    assert len(pieces) > 10
    assert answer.usage.output_tokens > 30


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_is_used_and_its_result_is_told(client: anthropic.Anthropic, stream: bool) -> None:
    messages = user("weather in Paris")
    if stream:
        with client.messages.stream(messages=messages, tools=[WEATHER], **ASKED) as events:
            asks: Any = events.get_final_message()
    else:
        asks = client.messages.create(messages=messages, tools=[WEATHER], **ASKED)
    (use,) = asks.content
    assert (asks.stop_reason, use.type, use.name, use.input) == ("tool_use", "tool_use", "get_weather", PARIS)
    result = {"type": "tool_result", "tool_use_id": use.id, "content": SKY}
    messages += [{"role": "assistant", "content": asks.content}, {"role": "user", "content": [result]}]
    tells = client.messages.create(messages=messages, tools=[WEATHER], **ASKED)
    assert said(tells) == REPORT


def test_the_tool_runner_goes_round_by_itself(client: anthropic.Anthropic) -> None:
    asked_for = []

    @anthropic.beta_tool(description=WEATHER["description"], input_schema=WEATHER["input_schema"])
    def get_weather(city: str) -> str:
        asked_for.append(city)
        return SKY

    runner = client.beta.messages.tool_runner(messages=user("weather in Paris"), tools=[get_weather], **ASKED)
    assert said(runner.until_done()) == REPORT
    assert asked_for == ["Paris"]


def test_an_answer_is_parsed(client: anthropic.Anthropic) -> None:
    asked: Any = {"messages": user("json"), "output_format": Card, **ASKED}
    assert client.messages.parse(**asked).parsed_output == CARD
    with client.messages.stream(**asked) as stream:
        assert stream.get_final_message().parsed_output == CARD


def test_errors(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError) as unknown:
        client.messages.create(model="nobody", max_tokens=9, messages=user("ping"))
    assert unknown.value.body == {
        "type": "error",
        "error": {"type": "not_found_error", "message": UNKNOWN_MODEL},
        "request_id": unknown.value.request_id,
    }
    with pytest.raises(anthropic.BadRequestError, match="temperature: input should be less than"):
        client.messages.create(
            model="demo", max_tokens=9, messages=user("ping"), extra_body={"temperature": 7}
        )
    with pytest.raises(anthropic.BadRequestError, match="prompt is too long: it has 5"):
        client.messages.create(messages=user(TOO_LONG), **ASKED)


def test_a_full_queue_is_a_rate_limit(worker: Worker) -> None:
    with full_queue(worker), connect(worker) as client, pytest.raises(anthropic.RateLimitError) as refused:
        client.messages.create(messages=user("ping"), **ASKED)
    assert refused.value.type == "rate_limit_error"


def test_a_refused_request_is_sent_again_when_it_may(worker: Worker) -> None:
    with (
        full_queue(worker) as hooks,
        anthropic.DefaultHttpxClient(event_hooks=hooks) as http,
        connect(worker, max_retries=1, http_client=http) as client,
        waiting_as_told(),
    ):
        assert said(client.messages.create(messages=user("ping"), **ASKED)) == PONG


def test_who_has_waited_long_enough_ends_the_generation(worker: Worker) -> None:
    with (
        ended_early(worker),
        connect(worker, timeout=0.5) as client,
        pytest.raises(anthropic.APITimeoutError),
    ):
        client.messages.create(**ENDLESS)


def test_who_leaves_a_stream_ends_the_generation(worker: Worker, client: anthropic.Anthropic) -> None:
    with ended_early(worker), client.messages.stream(**ENDLESS) as stream:
        assert next(iter(stream)).type == "message_start"


def test_who_cancels_the_task_ends_the_generation(worker: Worker) -> None:
    async def ask() -> None:
        async with connect_async(worker) as client:
            await client.messages.create(**ENDLESS)

    async def read() -> None:
        async with connect_async(worker) as client, client.messages.stream(**ENDLESS) as stream:
            await stream.until_done()

    cancel_while_generating(worker, ask)
    cancel_while_generating(worker, read)


def test_the_asynchronous_client(worker: Worker) -> None:
    async def ask() -> None:
        async with connect_async(worker) as client:
            answer = await client.messages.parse(messages=user("json"), output_format=Card, **ASKED)
            assert answer.parsed_output == CARD
            async with client.messages.stream(messages=user("ping"), **ASKED) as stream:
                assert await stream.get_final_text() == PONG

    asyncio.run(ask())
