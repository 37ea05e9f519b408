"""OpenAI's client for Python."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from tests.sdk.asked import (
    CARD,
    COUNTED,
    ENDLESS_TEXT,
    NEVER_STOP,
    PARIS,
    PONG,
    REPORT,
    SKY,
    TOO_LONG,
    UNKNOWN_MODEL,
    WEATHER,
    WEATHER_SCHEMA,
    Card,
    user,
)
from tests.sdk.busy import cancel_while_generating, ended_early, full_queue, waiting_as_told
from tests.worker.processes import Worker


class GetWeather(BaseModel):
    """Get the weather in a city"""

    city: str


GREEDY: Any = {"model": "demo", "temperature": 0}
ENDLESS: Any = {"model": "demo", "messages": user("x"), "logit_bias": NEVER_STOP}
ENDLESS_RESPONSE: Any = {
    "model": "demo",
    "input": "x",
    "text": {"format": {"type": "json_schema", "name": "endless", "schema": ENDLESS_TEXT}},
}


def connect(worker: Worker, **options: Any) -> openai.OpenAI:
    wanted: Any = {"max_retries": 0, "timeout": 20, **options}
    return openai.OpenAI(base_url=f"{worker.url}/v1", api_key="none", **wanted)


def connect_async(worker: Worker) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{worker.url}/v1", api_key="none", max_retries=0, timeout=20)


@pytest.fixture
def client(worker: Worker) -> Iterator[openai.OpenAI]:
    with connect(worker) as client:
        yield client


def test_chat(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(messages=user("ping"), **GREEDY)
    (choice,) = answer.choices
    assert (choice.message.content, choice.finish_reason, answer.model) == (PONG, "stop", "demo")
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert str(answer._request_id).startswith("req_")


def test_a_response(client: openai.OpenAI) -> None:
    answer = client.responses.create(input="ping", **GREEDY)
    assert (answer.output_text, answer.status, answer.error) == (PONG, "completed", None)


def test_a_text_completion(client: openai.OpenAI) -> None:
    answer = client.completions.create(prompt="hello", max_tokens=3, **GREEDY)
    assert answer.choices[0].finish_reason == "length"


def test_the_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["demo"]
    assert client.models.retrieve("demo").owned_by == "mlxhub"


def test_a_stream_and_its_usage(client: openai.OpenAI) -> None:
    with client.chat.completions.create(
        messages=user("count to 30"), stream=True, stream_options={"include_usage": True}, **GREEDY
    ) as stream:
        *chunks, last = stream
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == COUNTED
    assert len(chunks) > 10
    assert last.usage is not None
    assert last.usage.completion_tokens > 30


def test_a_response_in_a_stream(client: openai.OpenAI) -> None:
    with client.responses.stream(input="count to 30", **GREEDY) as stream:
        said = [event.delta for event in stream if event.type == "response.output_text.delta"]
        assert "".join(said) == stream.get_final_response().output_text == COUNTED


def test_a_tool_is_called_and_its_result_is_told(client: openai.OpenAI) -> None:
    messages = user("weather in Paris")
    (asks,) = client.chat.completions.create(messages=messages, tools=[WEATHER], **GREEDY).choices
    assert asks.finish_reason == "tool_calls"
    assert asks.message.tool_calls is not None
    (call,) = asks.message.tool_calls
    assert call.type == "function"
    assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", PARIS)
    messages += [asks.message, {"role": "tool", "tool_call_id": call.id, "content": SKY}]
    (tells,) = client.chat.completions.create(messages=messages, tools=[WEATHER], **GREEDY).choices
    assert tells.message.content == REPORT


def test_a_call_in_a_stream(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        messages=user("weather in Paris"), tools=[WEATHER], **GREEDY
    ) as stream:
        done = [event for event in stream if event.type == "tool_calls.function.arguments.done"]
        (choice,) = stream.get_final_completion().choices
    assert [(event.name, json.loads(event.arguments)) for event in done] == [("get_weather", PARIS)]
    assert choice.finish_reason == "tool_calls"


def test_a_function_is_called_in_a_response_and_its_output_is_told(client: openai.OpenAI) -> None:
    tool: Any = {"type": "function", **WEATHER_SCHEMA}
    asked = user("weather in Paris")
    first = client.responses.create(input=asked, tools=[tool], **GREEDY)
    (call,) = first.output
    assert call.type == "function_call"
    asked += [*first.output, {"type": "function_call_output", "call_id": call.call_id, "output": SKY}]
    assert client.responses.create(input=asked, tools=[tool], **GREEDY).output_text == REPORT


def test_an_answer_is_parsed(client: openai.OpenAI) -> None:
    asked: Any = {"messages": user("json"), "response_format": Card, **GREEDY}
    assert client.chat.completions.parse(**asked).choices[0].message.parsed == CARD
    with client.chat.completions.stream(**asked) as stream:
        assert stream.get_final_completion().choices[0].message.parsed == CARD


def test_a_response_is_parsed(client: openai.OpenAI) -> None:
    asked: Any = {"input": "json", "text_format": Card, **GREEDY}
    assert client.responses.parse(**asked).output_parsed == CARD
    with client.responses.stream(**asked) as stream:
        assert stream.get_final_response().output_parsed == CARD


def test_the_arguments_of_a_call_are_parsed(client: openai.OpenAI) -> None:
    tool = openai.pydantic_function_tool(GetWeather, name="get_weather")
    answer = client.chat.completions.parse(messages=user("weather in Paris"), tools=[tool], **GREEDY)
    assert answer.choices[0].message.tool_calls is not None
    (call,) = answer.choices[0].message.tool_calls
    assert call.function.parsed_arguments == GetWeather(city="Paris")


def test_an_answer_that_is_cut_is_not_parsed(client: openai.OpenAI) -> None:
    with pytest.raises(openai.LengthFinishReasonError):
        client.chat.completions.parse(messages=user("json"), response_format=Card, max_tokens=3, **GREEDY)


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_errors(client: openai.OpenAI, api: str) -> None:
    def ask(text: str = "ping", **options: Any) -> object:
        wanted: Any = {"model": "demo", **options}
        if api == "chat":
            return client.chat.completions.create(messages=user(text), **wanted)
        return client.responses.create(input=text, **wanted)

    with pytest.raises(openai.NotFoundError, match=UNKNOWN_MODEL) as unknown:
        ask(model="nobody")
    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
    assert str(unknown.value.request_id).startswith("req_")
    with pytest.raises(openai.BadRequestError) as wrong:
        ask(temperature=7)
    assert (wrong.value.code, wrong.value.param) == ("invalid_request", "temperature")
    with pytest.raises(openai.BadRequestError, match="This model's maximum context length is 2048") as long:
        ask(TOO_LONG)
    assert long.value.code == "context_length_exceeded"


def test_a_full_queue_is_a_rate_limit(worker: Worker) -> None:
    with full_queue(worker), connect(worker) as client, pytest.raises(openai.RateLimitError) as refused:
        client.chat.completions.create(messages=user("ping"), **GREEDY)
    assert refused.value.code == "queue_full"


def test_a_refused_request_is_sent_again_when_it_may(worker: Worker) -> None:
    with (
        full_queue(worker) as hooks,
        openai.DefaultHttpxClient(event_hooks=hooks) as http,
        connect(worker, max_retries=1, http_client=http) as client,
        waiting_as_told(),
    ):
        assert client.responses.create(input="ping", **GREEDY).output_text == PONG


def test_who_has_waited_long_enough_ends_the_generation(worker: Worker) -> None:
    with connect(worker, timeout=0.5) as client:
        with ended_early(worker), pytest.raises(openai.APITimeoutError):
            client.chat.completions.create(**ENDLESS)
        with ended_early(worker), pytest.raises(openai.APITimeoutError):
            client.responses.create(**ENDLESS_RESPONSE)


def test_who_leaves_a_stream_ends_the_generation(worker: Worker, client: openai.OpenAI) -> None:
    with ended_early(worker), client.chat.completions.create(stream=True, **ENDLESS) as stream:
        next(stream)
    with ended_early(worker), client.responses.create(stream=True, **ENDLESS_RESPONSE) as events:
        assert next(events).type == "response.created"


def test_who_cancels_the_task_ends_the_generation(worker: Worker) -> None:
    async def ask() -> None:
        async with connect_async(worker) as client:
            await client.chat.completions.create(**ENDLESS)

    async def read() -> None:
        async with (
            connect_async(worker) as client,
            await client.responses.create(stream=True, **ENDLESS_RESPONSE) as events,
        ):
            async for _ in events:
                pass

    cancel_while_generating(worker, ask)
    cancel_while_generating(worker, read)


def test_the_asynchronous_client(worker: Worker) -> None:
    async def ask() -> None:
        async with connect_async(worker) as client:
            answer = await client.chat.completions.parse(
                messages=user("json"), response_format=Card, **GREEDY
            )
            assert answer.choices[0].message.parsed == CARD
            stream = await client.chat.completions.create(messages=user("ping"), stream=True, **GREEDY)
            said = [chunk.choices[0].delta.content or "" async for chunk in stream]
            assert "".join(said) == PONG

    asyncio.run(ask())
