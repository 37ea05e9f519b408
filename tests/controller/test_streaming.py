"""Answers arrive piece by piece, and whoever leaves or dies in the middle is noticed on the other side."""

import asyncio
import json
import time
from pathlib import Path

import httpx
import pytest

from mlxhub.web.protocol import Limits
from tests.controller.hub import ALPHA, RunningHub, running_hub
from tests.fakes.waiting import until
from tests.fakes.worker import Answer, Received

pytestmark = pytest.mark.anyio

NOTICED_SECONDS = 1.0


async def never(_: Received, answer: Answer) -> None:
    await asyncio.sleep(3600)


async def raw_request(hub: RunningHub) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", hub.port)
    body = b'{"stream": true, "model": "alpha"}'
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n" % hub.port)
    writer.write(b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
    return reader, writer


async def test_each_piece_arrives_before_the_next_one_is_made(hub: RunningHub) -> None:
    seen = asyncio.Semaphore(0)

    async def wait_for_client(_: Received, answer: Answer) -> None:
        await answer.begin_chunks()
        for number in range(20):
            await answer.chunk(b"data: %d\n\n" % number)
            await seen.acquire()
        await answer.end_chunks()

    hub.workers["alpha"].script = wait_for_client
    pieces = []
    body = {"model": "alpha", "stream": True}
    async with hub.client.stream("POST", "/v1/chat/completions", json=body) as response:
        async for piece in response.aiter_raw():
            pieces.append(piece)
            seen.release()
    assert pieces == [b"data: %d\n\n" % number for number in range(20)]


async def test_the_worker_sees_a_hang_up_before_the_first_byte(hub: RunningHub) -> None:
    worker = hub.workers["alpha"]
    worker.script = never
    _, writer = await raw_request(hub)
    await worker.asked.wait()
    left_at = time.monotonic()
    writer.transport.abort()
    await asyncio.wait_for(worker.hung_up.wait(), NOTICED_SECONDS)
    assert time.monotonic() - left_at < NOTICED_SECONDS
    assert hub.controller.dispatcher.is_idle


async def test_the_worker_sees_a_polite_goodbye_before_the_first_byte(hub: RunningHub) -> None:
    worker = hub.workers["alpha"]
    worker.script = never
    _, writer = await raw_request(hub)
    await worker.asked.wait()
    writer.close()
    await asyncio.wait_for(worker.hung_up.wait(), NOTICED_SECONDS)


async def test_the_worker_sees_a_hang_up_in_the_middle_of_an_answer(hub: RunningHub) -> None:
    async def begin_only(_: Received, answer: Answer) -> None:
        await answer.begin_chunks()
        await answer.chunk(b"data: 1\n\n")
        await asyncio.sleep(3600)

    worker = hub.workers["alpha"]
    worker.script = begin_only
    reader, writer = await raw_request(hub)
    await reader.readuntil(b"data: 1\n\n")
    writer.close()
    await asyncio.wait_for(worker.hung_up.wait(), NOTICED_SECONDS)


async def test_a_client_that_does_not_read_holds_the_worker_back_and_may_still_leave(hub: RunningHub) -> None:
    sent = 0

    async def flood(_: Received, answer: Answer) -> None:
        nonlocal sent
        await answer.begin_chunks()
        while True:
            await answer.chunk(b"x" * 65_536)
            sent += 65_536

    worker = hub.workers["alpha"]
    worker.script = flood
    _, writer = await raw_request(hub)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    last = -1
    while sent != last:
        last = sent
        await asyncio.sleep(0.2)
    assert sent < 64 * 2**20
    writer.transport.abort()
    await asyncio.wait_for(worker.hung_up.wait(), NOTICED_SECONDS)


async def test_a_worker_that_dies_before_its_answer_is_502_and_is_asked_once(hub: RunningHub) -> None:
    async def die(_: Received, answer: Answer) -> None:
        answer.abort()
        await asyncio.sleep(3600)

    hub.workers["alpha"].script = die
    response = await hub.chat("alpha")
    assert (response.status_code, response.json()["error"]["code"]) == (502, "worker_silent")
    assert len(hub.workers["alpha"].received) == 1


async def test_a_worker_that_dies_late_on_a_used_connection_is_not_asked_again(hub: RunningHub) -> None:
    await hub.chat("alpha")

    async def die_late(_: Received, answer: Answer) -> None:
        await asyncio.sleep(1.1)
        answer.abort()
        await asyncio.sleep(3600)

    hub.workers["alpha"].script = die_late
    response = await hub.chat("alpha")
    assert response.status_code == 502
    assert len(hub.workers["alpha"].received) == 2


async def test_a_worker_that_dies_in_a_stream_ends_it_with_an_error_event(hub: RunningHub) -> None:
    async def die_in_the_middle(_: Received, answer: Answer) -> None:
        await answer.begin_chunks()
        await answer.chunk(b'data: {"a": 1}\n\ndata: {"b":')
        await asyncio.sleep(0.05)
        answer.abort()
        await asyncio.sleep(3600)

    hub.workers["alpha"].script = die_in_the_middle
    response = await hub.chat("alpha", stream=True)
    *whole, broken, error, end = response.text.split("\n\n")
    assert (whole, broken, end) == (['data: {"a": 1}'], 'data: {"b":', "")
    assert json.loads(error.removeprefix("data: "))["error"]["code"] == "worker_silent"


async def test_a_worker_that_dies_in_a_plain_answer_leaves_it_visibly_unfinished(hub: RunningHub) -> None:
    async def die_in_the_middle(_: Received, answer: Answer) -> None:
        await answer.raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
        await asyncio.sleep(0.05)
        answer.abort()
        await asyncio.sleep(3600)

    hub.workers["alpha"].script = die_in_the_middle
    with pytest.raises(httpx.RemoteProtocolError):
        await hub.chat("alpha")
    assert hub.controller.dispatcher.is_idle


async def stop_in_the_middle(_: Received, answer: Answer) -> None:
    await answer.begin_chunks()
    await answer.chunk(b"data: 1\n\n")
    await asyncio.sleep(3600)


async def test_a_worker_that_hangs_ends_what_waits_for_it(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA, silent_seconds=0.3) as hub:
        worker = hub.workers["alpha"]
        worker.script = stop_in_the_middle
        streaming = asyncio.create_task(hub.chat("alpha", stream=True))
        await until(lambda: len(worker.received) == 1)
        worker.script = never
        waiting = asyncio.create_task(hub.chat("alpha"))
        await until(lambda: len(worker.received) == 2)
        worker.muted = True
        refused = await waiting
        assert (refused.status_code, refused.json()["error"]["code"]) == (502, "worker_silent")
        begin, error = (await streaming).text.split("\n\n", 1)
        assert begin == "data: 1"
        assert json.loads(error.removeprefix("data: "))["error"]["code"] == "worker_silent"


async def test_an_answer_that_takes_long_is_waited_for_while_its_worker_says_how_it_is(
    tmp_path: Path,
) -> None:
    async def take_long(request: Received, answer: Answer) -> None:
        await asyncio.sleep(2.5)
        await answer.whole(request.body)

    async with running_hub(tmp_path, ALPHA, silent_seconds=0.3) as hub:
        hub.workers["alpha"].script = take_long
        assert (await hub.chat("alpha")).status_code == 200


async def test_a_client_that_takes_nothing_is_given_up_and_its_worker_free_again(tmp_path: Path) -> None:
    async def flood(_: Received, answer: Answer) -> None:
        await answer.begin_chunks()
        while True:
            await answer.chunk(b"x" * 65_536)

    async with running_hub(tmp_path, ALPHA, limits=Limits(taking_seconds=0.5)) as hub:
        hub.workers["alpha"].script = flood
        _, writer = await raw_request(hub)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.wait_for(hub.workers["alpha"].hung_up.wait(), 5)
        assert hub.controller.dispatcher.is_idle
        writer.close()


async def test_an_answer_that_is_no_http_is_502(hub: RunningHub) -> None:
    async def talk_nonsense(_: Received, answer: Answer) -> None:
        await answer.raw(b"\x00\x01 this is no HTTP\r\n\r\n")

    hub.workers["alpha"].script = talk_nonsense
    assert (await hub.chat("alpha")).status_code == 502


async def test_bytes_after_an_answer_never_become_the_next_one(hub: RunningHub) -> None:
    async def say_too_much(_: Received, answer: Answer) -> None:
        await answer.raw(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        await asyncio.sleep(0.02)
        await answer.raw(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison")

    async def say_too_much_at_once(_: Received, answer: Answer) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s"
        await answer.raw(head % (2, b"ok") + head % (6, b"poison"))

    hub.workers["alpha"].script = say_too_much_at_once
    assert [(await hub.chat("alpha")).text for _ in range(3)] == ["ok", "ok", "ok"]
    hub.workers["alpha"].script = say_too_much
    answers = [(await hub.chat("alpha")).text for _ in range(3) if await asyncio.sleep(0.05, result=True)]
    assert answers == ["ok", "ok", "ok"]
