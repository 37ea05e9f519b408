"""langchain-openai's ChatOpenAI, over chat completions and over the Responses API."""

import asyncio
from types import ModuleType
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from tests.sdk.asked import (
    CARD,
    COUNTED,
    NEVER_STOP,
    PARIS,
    PONG,
    REPORT,
    SKY,
    TOO_LONG,
    UNKNOWN_MODEL,
    WEATHER,
    Card,
    user,
)
from tests.sdk.busy import cancel_while_generating, ended_early, full_queue, waiting_as_told
from tests.worker.processes import Worker


@pytest.fixture(scope="module")
def langchain() -> ModuleType:
    """Imported for these tests alone, as that takes a second."""
    import langchain_openai

    return langchain_openai


@pytest.fixture(params=["chat", "responses"])
def model(request: pytest.FixtureRequest, langchain: ModuleType, worker: Worker) -> Any:
    return connect(langchain, worker, use_responses_api=request.param == "responses")


def connect(langchain: ModuleType, worker: Worker, **options: Any) -> Any:
    wanted = {"model": "demo", "temperature": 0, "max_retries": 0, "timeout": 20, "stream_usage": True}
    wanted |= options
    return langchain.ChatOpenAI(base_url=f"{worker.url}/v1", api_key="none", **wanted)


def test_chat(model: Any) -> None:
    answer = model.invoke("ping")
    assert answer.text == PONG
    usage = answer.usage_metadata
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


def test_a_stream_and_its_usage(model: Any) -> None:
    chunks = list(model.stream("count to 30"))
    assert "".join(chunk.text for chunk in chunks) == COUNTED
    assert len(chunks) > 10
    assert [chunk.usage_metadata["output_tokens"] > 30 for chunk in chunks if chunk.usage_metadata] == [True]


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_is_called_and_its_result_is_told(model: Any, stream: bool) -> None:
    with_tool = model.bind_tools([WEATHER])
    messages = user("weather in Paris")
    if stream:
        first, *more = with_tool.stream(messages)
        asks = sum(more, start=first)
    else:
        asks = with_tool.invoke(messages)
    (call,) = asks.tool_calls
    assert (call["name"], call["args"]) == ("get_weather", PARIS)
    messages += [asks, {"role": "tool", "tool_call_id": call["id"], "content": SKY}]
    assert with_tool.invoke(messages).text == REPORT


def test_an_answer_is_parsed(model: Any) -> None:
    assert model.with_structured_output(Card).invoke("json") == CARD
    assert model.with_structured_output(Card, method="json_mode").invoke("json") == CARD


def test_a_call_is_parsed(model: Any) -> None:
    class GetWeather(BaseModel):
        """Get the weather in a city"""

        city: str

    called = model.with_structured_output(GetWeather, method="function_calling")
    assert called.invoke("weather in Paris") == GetWeather(city="Paris")


def test_a_batch(model: Any) -> None:
    asked = ["ping", "ping"]
    assert [answer.text for answer in model.batch(asked, {"max_concurrency": 1})] == [PONG, PONG]


def test_errors(langchain: ModuleType, model: Any) -> None:
    import openai
    from langchain_core.exceptions import ContextOverflowError

    with pytest.raises(openai.NotFoundError, match=UNKNOWN_MODEL):
        model.invoke("ping", model="nobody")
    with pytest.raises(openai.BadRequestError) as wrong:
        model.invoke("ping", temperature=7)
    assert wrong.value.param == "temperature"
    with pytest.raises(ContextOverflowError):
        model.invoke(TOO_LONG)


def test_a_full_queue_is_a_rate_limit(worker: Worker, model: Any) -> None:
    import openai

    with full_queue(worker), pytest.raises(openai.RateLimitError):
        model.invoke("ping")


def test_a_refused_request_is_sent_again_when_it_may(langchain: ModuleType, worker: Worker) -> None:
    with full_queue(worker) as hooks, httpx.Client(event_hooks=hooks) as http, waiting_as_told():
        assert connect(langchain, worker, max_retries=1, http_client=http).invoke("ping").text == PONG


def test_who_has_waited_long_enough_ends_the_generation(langchain: ModuleType, worker: Worker) -> None:
    import openai

    hasty = connect(langchain, worker, timeout=0.5, logit_bias=NEVER_STOP)
    with ended_early(worker), pytest.raises(openai.APITimeoutError):
        hasty.invoke("x")


def test_who_cancels_the_task_ends_the_generation(langchain: ModuleType, worker: Worker) -> None:
    async def ask() -> None:
        # Without a client of its own it takes one that another event loop has used.
        async with httpx.AsyncClient() as http:
            await connect(langchain, worker, logit_bias=NEVER_STOP, http_async_client=http).ainvoke("x")

    async def read() -> None:
        async with httpx.AsyncClient() as http:
            # Up to Python 3.11 its limit for each chunk (asyncio.wait_for) swallows cancellations.
            own: Any = {"http_async_client": http, "stream_chunk_timeout": None}
            async for _ in connect(langchain, worker, logit_bias=NEVER_STOP, **own).astream("x"):
                pass

    cancel_while_generating(worker, ask)
    cancel_while_generating(worker, read)


@pytest.mark.parametrize("responses", [False, True])
def test_the_asynchronous_calls(langchain: ModuleType, worker: Worker, responses: bool) -> None:
    async def ask() -> None:
        async with httpx.AsyncClient() as http:
            model = connect(langchain, worker, use_responses_api=responses, http_async_client=http)
            assert (await model.ainvoke("ping")).text == PONG
            assert "".join([chunk.text async for chunk in model.astream("count to 30")]) == COUNTED

    asyncio.run(ask())
