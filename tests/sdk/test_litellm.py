"""litellm, as OpenAI's client and as Anthropic's."""

import asyncio
import json
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import httpx
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
    WEATHER,
    Card,
    user,
)
from tests.sdk.busy import cancel_while_generating, ended_early, full_queue, waiting_as_told
from tests.worker.processes import Worker

APIS = ("openai", "anthropic")
pytestmark = pytest.mark.filterwarnings(
    "ignore:Item .* using the `ReadOnly` qualifier:UserWarning", "ignore::pydantic.PydanticDeprecatedSince211"
)


@pytest.fixture(scope="module")
def litellm() -> Iterator[ModuleType]:
    """Imported for these tests alone, as that takes seconds; with the prices it brings along."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        import litellm

        patch.setattr(litellm, "suppress_debug_info", True)
        yield litellm


@pytest.fixture(params=APIS)
def asked(request: pytest.FixtureRequest, worker: Worker) -> dict[str, Any]:
    return by(request.param, worker)


def by(api: str, worker: Worker, **options: Any) -> dict[str, Any]:
    """What a call needs that takes the way of this API."""
    base = f"{worker.url}/v1" if api == "openai" else worker.url
    wanted = {"model": f"{api}/demo", "api_base": base, "api_key": "none", "temperature": 0, "timeout": 20}
    return wanted | {"max_tokens": 100, "max_retries": 0} | options


def endless(api: str, worker: Worker) -> dict[str, Any]:
    schema = {"name": "endless", "schema": ENDLESS_TEXT}
    never: dict[str, Any] = {
        "openai": {"logit_bias": NEVER_STOP},
        "anthropic": {"response_format": {"type": "json_schema", "json_schema": schema}},
    }[api]
    return by(api, worker, messages=user("x"), max_tokens=5000, **never)


def said(answer: Any) -> str:
    return str(answer.choices[0].message.content)


def test_chat(litellm: ModuleType, asked: dict[str, Any]) -> None:
    answer = litellm.completion(messages=user("ping"), **asked)
    assert (said(answer), answer.choices[0].finish_reason) == (PONG, "stop")
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_a_response(litellm: ModuleType, worker: Worker) -> None:
    wanted = by("openai", worker)
    del wanted["max_tokens"]
    assert litellm.responses(input="ping", **wanted).output[0].content[0].text == PONG


def test_a_stream_and_its_usage(litellm: ModuleType, asked: dict[str, Any]) -> None:
    stream = litellm.completion(
        messages=user("count to 30"), stream=True, stream_options={"include_usage": True}, **asked
    )
    chunks = list(stream)
    assert len(chunks) > 10
    whole = litellm.stream_chunk_builder(chunks)
    assert said(whole) == COUNTED
    assert whole.usage.completion_tokens > 30


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_is_called_and_its_result_is_told(
    litellm: ModuleType, asked: dict[str, Any], stream: bool
) -> None:
    messages = user("weather in Paris")
    asks = litellm.completion(messages=messages, tools=[WEATHER], stream=stream, **asked)
    if stream:
        asks = litellm.stream_chunk_builder(list(asks))
    (choice,) = asks.choices
    (call,) = choice.message.tool_calls
    assert choice.finish_reason == "tool_calls"
    assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", PARIS)
    messages += [choice.message, {"role": "tool", "tool_call_id": call.id, "content": SKY}]
    assert said(litellm.completion(messages=messages, tools=[WEATHER], **asked)) == REPORT


def test_an_answer_has_the_shape_that_was_asked_for(litellm: ModuleType, worker: Worker) -> None:
    answer = litellm.completion(messages=user("json"), response_format=Card, **by("openai", worker))
    assert Card.model_validate_json(said(answer)) == CARD


def test_that_shape_is_asked_of_anthropics_api_as_a_call(litellm: ModuleType, worker: Worker) -> None:
    class Ready(BaseModel, extra="forbid"):
        """Where more is allowed, the demo model goes on and on."""

        ok: bool

    answer = litellm.completion(messages=user("json"), response_format=Ready, **by("anthropic", worker))
    Ready.model_validate_json(said(answer))


def test_an_unknown_model(litellm: ModuleType, asked: dict[str, Any]) -> None:
    api, _, _ = asked["model"].partition("/")
    with pytest.raises(litellm.NotFoundError, match="There is no model"):
        litellm.completion(messages=user("ping"), **asked | {"model": f"{api}/nobody"})


def test_a_wrong_parameter(litellm: ModuleType, asked: dict[str, Any]) -> None:
    with pytest.raises(litellm.BadRequestError, match="temperature: input should be less than"):
        litellm.completion(messages=user("ping"), **asked | {"temperature": 7})


def test_a_prompt_that_is_too_long_is_known_as_one(litellm: ModuleType, asked: dict[str, Any]) -> None:
    with pytest.raises(litellm.ContextWindowExceededError):
        litellm.completion(messages=user(TOO_LONG), **asked)


def test_a_full_queue_is_a_rate_limit(litellm: ModuleType, worker: Worker, asked: dict[str, Any]) -> None:
    with full_queue(worker), pytest.raises(litellm.RateLimitError):
        litellm.completion(messages=user("ping"), **asked)


def test_a_refused_request_is_sent_again_when_it_may(
    litellm: ModuleType, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = by("openai", worker, max_retries=1)
    with full_queue(worker) as hooks, httpx.Client(event_hooks=hooks) as http, waiting_as_told():
        monkeypatch.setattr(litellm, "client_session", http)
        assert said(litellm.completion(messages=user("ping"), **wanted)) == PONG


@pytest.mark.parametrize("api", APIS)
def test_who_has_waited_long_enough_ends_the_generation(
    litellm: ModuleType, worker: Worker, api: str
) -> None:
    with ended_early(worker), pytest.raises(litellm.Timeout):
        litellm.completion(**endless(api, worker) | {"timeout": 0.5})


@pytest.mark.parametrize("api", APIS)
def test_who_cancels_the_task_ends_the_generation(litellm: ModuleType, worker: Worker, api: str) -> None:
    async def ask() -> None:
        await litellm.acompletion(**endless(api, worker))

    cancel_while_generating(worker, ask)


def test_the_asynchronous_calls(litellm: ModuleType, asked: dict[str, Any]) -> None:
    async def ask() -> None:
        assert said(await litellm.acompletion(messages=user("ping"), **asked)) == PONG
        stream = await litellm.acompletion(messages=user("count to 30"), stream=True, **asked)
        chunks = [chunk async for chunk in stream]
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == COUNTED

    asyncio.run(ask())
