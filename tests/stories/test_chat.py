"""OpenAI's client asks the real demo model, through the controller and at its own port."""

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

from tests.eventually import eventually
from tests.stories.conftest import LiveHub

STORY = "tell me a long story"
WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def says(text: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": text}]


@pytest.fixture
def client(demo_hub: LiveHub, hop_port: int) -> Iterator[openai.OpenAI]:
    with demo_hub.client(hop_port) as client:
        yield client


def test_ping_is_answered_with_pong(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="demo", messages=says("ping"))
    assert answer.choices[0].message.content == "pong"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == "demo"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_streaming_gives_the_same_answer_and_its_usage(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="demo", messages=says("count to 7"))
    chunks = list(
        client.chat.completions.create(
            model="demo", messages=says("count to 7"), stream=True, stream_options={"include_usage": True}
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert len(chunks) > 5
    assert chunks[-1].usage == whole.usage
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"


def test_an_alias_means_the_model(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="gpt-4o-mini", messages=says("ping"))
    assert answer.choices[0].message.content == "pong"


def test_stop_ends_the_text_right_before_it(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="demo", messages=says("ab stop"))
    assert whole.choices[0].message.content is not None
    before, stop, after = whole.choices[0].message.content.partition("STOP")
    assert (bool(before), stop, bool(after)) == (True, "STOP", True)
    for stream in (False, True):
        answer = client.chat.completions.create(
            model="demo", messages=says("ab stop"), stop=["STOP"], stream=stream
        )
        if isinstance(answer, openai.Stream):
            chunks = [chunk.choices[0] for chunk in answer if chunk.choices]
            assert "".join(choice.delta.content or "" for choice in chunks) == before
            assert chunks[-1].finish_reason == "stop"
        else:
            assert answer.choices[0].message.content == before
            assert answer.choices[0].finish_reason == "stop"


def test_a_tool_is_called_and_its_result_is_used(client: openai.OpenAI) -> None:
    messages = says("weather in Paris")
    first = client.chat.completions.create(model="demo", messages=messages, tools=[WEATHER])
    assert first.choices[0].finish_reason == "tool_calls"
    calls = first.choices[0].message.tool_calls
    assert calls is not None
    assert calls[0].type == "function"
    assert (calls[0].function.name, json.loads(calls[0].function.arguments)) == (
        "get_weather",
        {"city": "Paris"},
    )
    messages += [
        {"role": "assistant", "tool_calls": [{"id": calls[0].id, "type": "function",
            "function": {"name": "get_weather", "arguments": calls[0].function.arguments}}]},
        {"role": "tool", "tool_call_id": calls[0].id, "content": '{"temperature": 21, "sky": "clear"}'},
    ]  # fmt: skip
    second = client.chat.completions.create(model="demo", messages=messages, tools=[WEATHER])
    assert second.choices[0].finish_reason == "stop"
    assert "21" in (second.choices[0].message.content or "")


def test_completions_continue_a_prompt(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="demo", prompt="1 2 3 4", max_tokens=4, temperature=0)
    assert answer.usage is not None
    assert 0 < answer.usage.completion_tokens <= 4
    assert answer.choices[0].finish_reason in ("stop", "length")


def test_models_are_listed_without_loading_any(demo_hub: LiveHub, client: openai.OpenAI) -> None:
    demo_hub.ok("unload-model", "demo")
    assert [model.id for model in client.models.list()] == ["demo"]
    assert client.models.retrieve("demo").id == "demo"
    assert demo_hub.model("demo")["memory"] == "unloaded"


def test_load_and_unload_by_hand_and_load_by_the_first_request(demo_hub: LiveHub) -> None:
    demo_hub.ok("load-model", "demo")
    assert demo_hub.model("demo")["memory"] == "ready"
    demo_hub.ok("unload-model", "demo")
    assert demo_hub.model("demo")["memory"] == "unloaded"
    assert demo_hub.ok("chat", "demo", "ping") == "pong\n"
    assert demo_hub.model("demo")["memory"] == "ready"
    assert demo_hub.model("demo")["unload_at"] is not None


def test_eight_streams_decode_in_one_batch(demo_hub: LiveHub, demo_port: int) -> None:
    demo_hub.ok("load-model", "demo")
    begin = threading.Barrier(9)
    texts: list[str] = []

    def stream() -> None:
        with demo_hub.client() as client:
            client.models.list()  # the client loads its own parts and connects before the first ends
            begin.wait(30)
            answer = client.chat.completions.create(
                model="demo", messages=says(STORY), temperature=0, stream=True, max_tokens=300
            )
            texts.append("".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices))

    threads = [threading.Thread(target=stream) for _ in range(8)]
    for thread in threads:
        thread.start()
    begin.wait(30)
    for thread in threads:
        thread.join(60)
    status = httpx.get(f"http://127.0.0.1:{demo_port}/status", headers=demo_hub.bearer("api")).json()
    assert status["batch"]["peak_rows"] == 8
    assert len(texts) == 8
    assert len(set(texts)) == 1


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_frees_its_row(demo_hub: LiveHub, demo_port: int, stream: bool) -> None:
    """Through both hops. How soon is told by tokens: the next step after the hang-up is the last."""
    demo_hub.ok("load-model", "demo")
    headers = demo_hub.bearer("api")

    def worker() -> dict[str, dict[str, int]]:
        answer = httpx.get(f"http://127.0.0.1:{demo_port}/status", headers=headers)
        status: dict[str, dict[str, int]] = answer.json()
        return status

    before = worker()["counters"]
    body = {"model": "demo", "messages": says(STORY), "stream": stream, "temperature": 0}
    with ExitStack() as stack:
        http = stack.enter_context(httpx.Client(timeout=1 if stream else 0.15))
        try:
            with http.stream("POST", f"{demo_hub.url}/v1/chat/completions", json=body) as response:
                next(response.iter_lines())
        except httpx.ReadTimeout:
            assert not stream
    eventually(lambda: worker()["counters"]["cancelled"] == before["cancelled"] + 1, 2)
    # The engine hears of it after its step.
    eventually(lambda: worker()["batch"]["rows"] == 0, 2)
    assert worker()["counters"]["completed"] == before["completed"]
