"""Who asks for a stream hears that the hub is there while the model is not, and how it ended."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.controller.hub import ALPHA, WAIT_SECONDS, RunningHub, running_hub
from tests.fakes.worker import Answer, Received

pytestmark = pytest.mark.anyio

COMMENT = b": keepalive\n\n"
PING = b'event: ping\ndata: {"type":"ping"}\n\n'


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[RunningHub]:
    async with running_hub(tmp_path, ALPHA, keepalive_seconds=0.05) as running:
        running.workers["alpha"].may_load.clear()
        yield running
        running.workers["alpha"].may_load.set()


async def stream(_: Received, answer: Answer) -> None:
    await answer.begin_chunks()
    await answer.chunk(b"data: 1\n\n")
    await answer.end_chunks()


async def refuse(_: Received, answer: Answer) -> None:
    error = {"message": "n: at most 8", "type": "invalid_request_error", "code": "invalid_request"}
    await answer.whole(json.dumps({"error": error}).encode(), 400)


async def answered(hub: RunningHub, path: str = "/v1/chat/completions", keepalives: int = 2) -> bytes:
    """All of it, once the model may load, which is after so many keepalives."""
    said = b""
    async with asyncio.timeout(WAIT_SECONDS):
        async with hub.client.stream("POST", path, json={"model": "alpha", "stream": True}) as response:
            assert response.status_code == 200
            assert response.headers["content-type"].startswith("text/event-stream")
            async for chunk in response.aiter_raw():
                said += chunk
                if said.count(b"\n\n") >= keepalives:
                    hub.workers["alpha"].may_load.set()
    return said


@pytest.mark.parametrize(
    ("path", "keepalive"),
    [("/v1/chat/completions", COMMENT), ("/v1/messages", PING), ("/v1/responses", COMMENT)],
)
async def test_a_stream_is_kept_alive_while_its_model_is_loaded(
    hub: RunningHub, path: str, keepalive: bytes
) -> None:
    hub.workers["alpha"].script = stream
    said = await answered(hub, path)
    assert said.replace(keepalive, b"") == b"data: 1\n\n"
    assert said.startswith(2 * keepalive)


async def test_a_form_asks_for_a_stream_in_the_words_that_a_worker_takes(hub: RunningHub) -> None:
    hub.workers["alpha"].script = stream
    form: dict[str, Any] = {"data": {"model": "alpha", "stream": "True"}, "files": {"file": b"sound"}}
    async with (
        asyncio.timeout(WAIT_SECONDS),
        hub.client.stream("POST", "/v1/audio/transcriptions", **form) as response,
    ):
        said = await anext(response.aiter_raw())
        hub.workers["alpha"].may_load.set()
    assert said == COMMENT


async def test_where_there_are_no_streams_the_answer_comes_as_it_is(hub: RunningHub) -> None:
    async def speak(_: Received, answer: Answer) -> None:
        await answer.whole(b"sound")

    hub.workers["alpha"].script = speak
    body = {"model": "alpha", "input": "hello", "stream": True}
    asking = asyncio.create_task(hub.client.post("/v1/audio/speech", json=body))
    await asyncio.sleep(0.2)
    hub.workers["alpha"].may_load.set()
    assert (await asking).content == b"sound"


async def test_what_a_worker_then_refuses_is_an_event(hub: RunningHub) -> None:
    hub.workers["alpha"].script = refuse
    said = await answered(hub)
    event = json.loads(said.replace(COMMENT, b"").removeprefix(b"data: "))
    assert event["error"]["message"] == "n: at most 8"


async def test_a_load_that_fails_then_is_an_event(hub: RunningHub) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        body = {"model": "alpha", "stream": True}
        async with hub.client.stream("POST", "/v1/messages", json=body) as response:
            said = b""
            async for chunk in response.aiter_raw():
                said += chunk
                if said == PING:
                    await hub.workers["alpha"].die()
    lines = said.replace(PING, b"").decode().splitlines()
    assert lines[0] == "event: error"
    assert json.loads(lines[1].removeprefix("data: "))["error"]["type"] == "api_error"


async def test_who_wants_no_stream_waits_for_the_whole_answer(hub: RunningHub) -> None:
    asking = asyncio.create_task(hub.chat("alpha", stream=False))
    await asyncio.sleep(0.2)
    assert not asking.done()
    hub.workers["alpha"].may_load.set()
    assert (await asking).json() == {"model": "alpha", "stream": False}


async def test_who_leaves_while_waiting_leaves_nothing_behind(hub: RunningHub) -> None:
    asking = asyncio.create_task(hub.chat("alpha", stream=True))
    async with asyncio.timeout(WAIT_SECONDS):
        while hub.workers["alpha"].loads == 0:  # noqa: ASYNC110  it is another process's fact
            await asyncio.sleep(0.01)
    asking.cancel()
    hub.workers["alpha"].may_load.set()
    await hub.until("alpha", lambda view: view.memory == "ready")
    assert hub.workers["alpha"].received == []
    assert (await hub.chat("alpha")).status_code == 200
