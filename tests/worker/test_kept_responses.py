"""OpenAI's client goes on from responses that a worker keeps."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.worker.processes import Worker, running_worker

WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "Get the weather in a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": False,
}
ENTRIES = 3


@pytest.fixture(scope="module")
def demo() -> Iterator[Worker]:
    with running_worker(model_path="builtin:demo", response_store={"entries": ENTRIES}) as running:
        yield running


@pytest.fixture(scope="module")
def client(demo: Worker) -> Iterator[openai.OpenAI]:
    with demo.openai as client:
        yield client


@pytest.fixture(scope="module")
def forgetful() -> Iterator[Worker]:
    """As every worker is unless hub.yaml says otherwise."""
    with running_worker(model_path="builtin:demo") as running:
        yield running


def ask(client: openai.OpenAI, stream: bool, **fields: Any) -> Any:
    asked: Any = {"model": "m", "temperature": 0, **fields}
    if not stream:
        return client.responses.create(**asked)
    events: Any = client.responses.create(**asked, stream=True)
    states = [event.response for event in events if hasattr(event, "response")]
    assert {state.to_dict()["store"] for state in states} == {states[-1].to_dict()["store"]}
    return states[-1]


@pytest.mark.parametrize("stream", [False, True])
def test_a_second_turn_knows_the_first(client: openai.OpenAI, stream: bool) -> None:
    first = ask(client, stream, input="weather in Paris", tools=[WEATHER], instructions="You are brief.")
    (call,) = first.output
    output: Any = {
        "type": "function_call_output",
        "call_id": call.call_id,
        "output": '{"temperature": 21, "sky": "clear"}',
    }
    second = ask(client, stream, input=[output], tools=[WEATHER], previous_response_id=first.id)
    assert second.output_text == "It is 21 degrees and clear in Paris."
    assert (second.previous_response_id, second.to_dict()["store"]) == (first.id, True)


def test_it_is_the_same_as_the_whole_conversation_without_the_instructions_before(
    client: openai.OpenAI,
) -> None:
    first = ask(client, False, input="ping", instructions="You are brief. " * 5)
    going_on = ask(client, False, input="count to 7", previous_response_id=first.id)
    sent: Any = [
        {"role": "user", "content": "ping"},
        {"role": "assistant", "content": first.output_text},
        {"role": "user", "content": "count to 7"},
    ]
    whole = ask(client, False, input=sent)
    assert going_on.usage.input_tokens == whole.usage.input_tokens
    assert going_on.output_text == whole.output_text


def test_what_is_kept_can_be_had_and_deleted(demo: Worker, client: openai.OpenAI) -> None:
    for stream in (False, True):
        said = ask(client, stream, input="ping", metadata={"a": "b"})
        had = client.responses.retrieve(said.id)
        assert had.to_dict() == said.to_dict()
        client.responses.delete(said.id)
        for gone in (client.responses.retrieve, client.responses.delete):
            with pytest.raises(openai.NotFoundError, match="not kept here, or no longer"):
                gone(said.id)
    refused = demo.http.get(f"/v1/responses/{said.id}?stream=true")
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "stream")


def require_gone(client: openai.OpenAI, response_id: str) -> None:
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError) as gone:
            client.responses.create(model="m", input="x", previous_response_id=response_id, stream=stream)
        assert (gone.value.code, gone.value.param) == ("previous_response_not_found", "previous_response_id")


def test_the_least_recently_used_goes_and_is_said_to_be_gone(client: openai.OpenAI) -> None:
    first, second, *_ = (ask(client, False, input="ping") for _ in range(ENTRIES))
    client.responses.retrieve(first.id)
    ask(client, False, input="ping")
    require_gone(client, second.id)
    assert ask(client, False, input="ping", previous_response_id=first.id).output_text == "pong"
    require_gone(client, "resp_1")


@pytest.mark.parametrize("stream", [False, True])
def test_who_does_not_want_it_kept_is_heeded(client: openai.OpenAI, stream: bool) -> None:
    said = ask(client, stream, input="ping", store=False)
    assert said.to_dict()["store"] is False
    require_gone(client, said.id)


def test_where_nothing_is_kept_that_is_said(forgetful: Worker) -> None:
    with forgetful.openai as client:
        for stream in (False, True):
            said = ask(client, stream, input="ping", store=True)
            assert said.to_dict()["store"] is False
        raw = client.responses.with_raw_response.create(model="m", input="ping", store=True)
        assert raw.headers["x-mlxhub-ignored"] == "store"
        assert (
            "x-mlxhub-ignored" not in client.responses.with_raw_response.create(model="m", input="x").headers
        )
        with pytest.raises(openai.BadRequestError, match="response_store") as refused:
            client.responses.create(model="m", input="ping", previous_response_id=said.id)
        assert refused.value.param == "previous_response_id"
        with pytest.raises(openai.NotFoundError, match="response_store"):
            client.responses.retrieve(said.id)


def test_what_is_too_large_to_be_kept_says_so_in_the_end() -> None:
    with (
        running_worker(model_path="builtin:demo", response_store={"entries": 9, "bytes": 2500}) as worker,
        worker.openai as client,
    ):
        small = client.responses.create(model="m", input="ping")
        large = client.responses.create(model="m", input="ping", instructions="You are brief. " * 90)
        assert [said.to_dict()["store"] for said in (small, large)] == [True, False]
        events: Any = client.responses.create(model="m", input="tell me a long story", stream=True)
        begun, *_, over = [event.response.to_dict() for event in events if hasattr(event, "response")]
        assert (begun["store"], over["store"]) == (True, False)
