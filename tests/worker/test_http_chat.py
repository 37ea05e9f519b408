"""Chat and completions over HTTP, with OpenAI's client, against a real process and an endless model."""

import asyncio
import json
from typing import Any

import httpx
import openai
import pytest

from tests.eventually import eventually
from tests.worker.processes import Worker

HELLO: list[Any] = [{"role": "user", "content": "hello"}]


def test_a_whole_answer(worker: Worker) -> None:
    answer = worker.openai.chat.completions.create(model="m", messages=HELLO, max_tokens=12, temperature=0)
    assert answer.object == "chat.completion"
    assert answer.choices[0].finish_reason == "length"
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 12
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 12


def test_a_stream_says_the_same_as_the_whole(worker: Worker) -> None:
    options: dict[str, Any] = {"model": "m", "messages": HELLO, "max_tokens": 30, "temperature": 0}
    whole = worker.openai.chat.completions.create(**options)
    chunks = list(
        worker.openai.chat.completions.create(**options, stream=True, stream_options={"include_usage": True})
    )
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage
    assert [chunk.usage for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-2].choices[0].finish_reason == "length"
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1])
    assert said == whole.choices[0].message.content
    assert {chunk.id for chunk in chunks} == {chunks[0].id}


def test_a_stream_ends_with_done(worker: Worker) -> None:
    lines = worker.chat(max_tokens=3, stream=True, stream_options={}).text.split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    assert all(line.startswith("data: ") for line in lines[:-1])
    assert not any("usage" in json.loads(line[6:]) for line in lines[:-2])


def test_stop_strings_cut_the_text(worker: Worker) -> None:
    free = worker.chat(max_tokens=40, seed=4, temperature=1).json()["choices"][0]["message"]["content"]
    stop = free[20:24]
    said = worker.chat(max_tokens=40, seed=4, temperature=1, stop=[stop]).json()["choices"][0]
    assert said["message"]["content"] == free[: free.index(stop)]
    assert said["finish_reason"] == "stop"


def test_several_answers_with_seeds_of_their_own(worker: Worker) -> None:
    options: dict[str, Any] = {"max_tokens": 15, "seed": 9, "temperature": 1, "n": 3}
    first = worker.chat(**options).json()
    said = [choice["message"]["content"] for choice in first["choices"]]
    assert [choice["index"] for choice in first["choices"]] == [0, 1, 2]
    assert len(set(said)) == 3
    assert first["usage"]["completion_tokens"] == 45
    assert [choice["message"]["content"] for choice in worker.chat(**options).json()["choices"]] == said
    chunks = worker.openai.chat.completions.create(model="m", messages=HELLO, stream=True, **options)
    streamed = ["", "", ""]
    for chunk in chunks:
        streamed[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert streamed == said


def test_the_beginning_of_a_prompt_that_was_read_before_is_told_and_counted(worker: Worker) -> None:
    long = "what is known of the rivers of the world? " * 10
    first = worker.chat(long, max_tokens=4).json()["usage"]
    before = worker.status()
    for options in ({}, {"n": 2}, {"stream": True, "stream_options": {"include_usage": True}}):
        answer = worker.chat(f"{long} And of its lakes?", max_tokens=4, **options)
        said = answer.text.strip().split("data: ")[-2] if "stream" in options else answer.text
        usage = json.loads(said)["usage"]
        cached = usage["prompt_tokens_details"]["cached_tokens"]
        assert first["prompt_tokens"] - 8 <= cached < usage["prompt_tokens"]
    assert worker.status().counters.cached_tokens >= before.counters.cached_tokens + 3 * cached - 30
    assert worker.status().prompt_cache.entries > 0
    assert 'mlxhub_prompt_cache_bytes{model="m"} ' in worker.http.get("/metrics").text


@pytest.mark.parametrize("stream", [False, True])
def test_chat_tells_how_likely_each_token_was(worker: Worker, stream: bool) -> None:
    options: dict[str, Any] = {"temperature": 1, "seed": 4, "max_tokens": 9, "logprobs": True}
    answer = worker.openai.chat.completions.create(
        model="m", messages=HELLO, top_logprobs=3, stream=stream, **options
    )
    choices = [chunk.choices[0] for chunk in answer] if stream else [answer.choices[0]]
    told = [one for choice in choices if choice.logprobs for one in choice.logprobs.content or ()]
    parts = [choice.delta.content if stream else choice.message.content for choice in choices]
    assert len(told) == 9
    assert b"".join(bytes(one.bytes or ()) for one in told).decode(errors="replace") == "".join(
        part or "" for part in parts
    )
    for one in told:
        assert one.logprob <= 0
        assert len(one.top_logprobs) == 3
        assert one.top_logprobs[0].logprob >= one.logprob


@pytest.mark.parametrize("stream", [False, True])
def test_text_completions_tell_it_in_their_own_shape(worker: Worker, stream: bool) -> None:
    answer = worker.openai.completions.create(
        model="m", prompt="hello", temperature=0, max_tokens=7, logprobs=2, stream=stream
    )
    choices = [chunk.choices[0] for chunk in answer] if stream else [answer.choices[0]]
    text = "".join(choice.text for choice in choices)
    told = [choice.logprobs for choice in choices if choice.logprobs]
    tokens = [token for one in told for token in one.tokens or ()]
    offsets = [offset for one in told for offset in one.text_offset or ()]
    likeliest = [top for one in told for top in one.top_logprobs or ()]
    logprobs = [value for one in told for value in one.token_logprobs or ()]
    assert len(tokens) == 7
    assert [len("".join(tokens[:place])) for place in range(7)] == offsets
    assert "".join(tokens).startswith(text[: len(tokens[0])])
    assert [max(top.values()) for top in likeliest] == logprobs


def test_nobody_gets_what_was_not_asked_for(worker: Worker) -> None:
    for options in ({}, {"logprobs": False}, {"logprobs": None, "top_logprobs": 0}):
        assert worker.chat(max_tokens=2, **options).json()["choices"][0]["logprobs"] is None


def test_nulls_and_unknown_fields_are_nothing(worker: Worker) -> None:
    nulls = dict.fromkeys(
        ("temperature", "top_p", "stop", "n", "seed", "tools", "tool_choice", "logit_bias", "stream",
         "response_format", "stream_options", "logprobs", "max_completion_tokens", "presence_penalty")
    )  # fmt: skip
    response = worker.chat(max_tokens=2, user="me", store=False, no_such_field={"a": 1}, **nulls)
    assert response.status_code == 200


def test_text_completions_in_every_form_of_prompt(worker: Worker) -> None:
    client = worker.openai
    one = client.completions.create(model="m", prompt="hello", max_tokens=6, temperature=0)
    same = client.completions.create(model="m", prompt=["hello"], max_tokens=6, temperature=0)
    assert one.choices[0].text == same.choices[0].text
    many = client.completions.create(
        model="m", prompt=[[5, 6, 7], [8]], max_tokens=4, n=2, temperature=1, seed=1
    )
    assert [choice.index for choice in many.choices] == [0, 1, 2, 3]
    assert many.usage is not None
    assert (many.usage.prompt_tokens, many.usage.completion_tokens) == (4, 16)
    chunks = client.completions.create(model="m", prompt="hello", max_tokens=6, temperature=0, stream=True)
    assert "".join(chunk.choices[0].text for chunk in chunks) == one.choices[0].text


def test_requests_carry_their_id(worker: Worker) -> None:
    given = worker.http.get("/health", headers={"x-request-id": "my-id"})
    assert given.headers["x-request-id"] == "my-id"
    broken = worker.http.get("/health", headers={"x-request-id": "a b\tc"})
    assert broken.headers["x-request-id"].startswith("req_")


def test_models_are_listed(worker: Worker) -> None:
    (model,) = worker.openai.models.list().data
    assert model.id == "m"
    assert worker.openai.models.retrieve("m").id == "m"
    assert worker.http.get("/v1/models/m").json()["meta"]["context_length"] == 8192
    with pytest.raises(openai.NotFoundError):
        worker.openai.models.retrieve("other/model")


def endless(worker: Worker) -> dict[str, Any]:
    return {"model": "m", "messages": HELLO, "temperature": 0, "max_tokens": 8000}


def test_eight_streams_decode_together_and_hang_ups_free_their_rows(worker: Worker) -> None:
    async def eight() -> None:
        async with httpx.AsyncClient(base_url=worker.url, timeout=20) as client:
            begun = [asyncio.Event() for _ in range(8)]

            async def read(event: asyncio.Event) -> None:
                body = {**endless(worker), "stream": True}
                async with client.stream("POST", "/v1/chat/completions", json=body) as response:
                    async for _ in response.aiter_bytes():
                        event.set()

            readers = [asyncio.ensure_future(read(event)) for event in begun]
            async with asyncio.timeout(15):
                await asyncio.gather(*(event.wait() for event in begun))
            status = worker.status()
            assert (status.in_flight, status.batch.rows, status.batch.peak_rows) == (8, 8, 8)
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)

    asyncio.run(eight())
    eventually(lambda: worker.status().in_flight == 0 and worker.status().batch.rows == 0, 3)
    assert worker.status().counters.cancelled >= 8


def test_a_client_that_leaves_a_whole_answer_frees_its_row(worker: Worker) -> None:
    async def leave() -> None:
        async with httpx.AsyncClient(base_url=worker.url, timeout=20) as client:
            asking = asyncio.ensure_future(client.post("/v1/chat/completions", json=endless(worker)))
            await asyncio.to_thread(eventually, lambda: worker.status().batch.rows == 1)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    asyncio.run(leave())
    eventually(lambda: worker.status().in_flight == 0 and worker.status().batch.rows == 0, 3)


def test_unload_if_idle_refuses_while_busy_and_a_plain_health_is_no_use(worker: Worker) -> None:
    with worker.http.stream("POST", "/v1/chat/completions", json={**endless(worker), "stream": True}) as busy:
        events = busy.iter_bytes()
        next(events)
        refused = worker.post("/unload?if_idle=1")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "model_busy")
    eventually(lambda: worker.status().in_flight == 0)
    idle = worker.status().idle_seconds
    assert idle is not None
    worker.http.get("/health")
    worker.http.get("/v1/models")
    assert (worker.status().idle_seconds or 0) > idle


def test_metrics_tell_what_status_tells(worker: Worker) -> None:
    # Whoever left a moment ago may still have a row.
    eventually(lambda: worker.status().batch.rows == 0)
    counted = worker.status().counters
    lines = worker.http.get("/metrics").text.splitlines()
    name = worker.status().name
    assert f'mlxhub_requests_total{{model="{name}"}} {float(counted.requests)}' in lines
    assert f'mlxhub_completion_tokens_total{{model="{name}"}} {float(counted.completion_tokens)}' in lines
    assert f'mlxhub_batch_rows{{model="{name}"}} 0.0' in lines
