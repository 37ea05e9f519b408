"""The pool of connections to one worker: bounded, and empty again when nobody asks."""

import asyncio

import pytest

from mlxhub.clients.headers import headers_for_client, headers_for_worker, request_head
from mlxhub.clients.upstream import Upstream, WorkerUnreachable
from mlxhub.refusals import QueueFull
from tests.fakes.ports import free_ports
from tests.fakes.waiting import until
from tests.fakes.worker import Answer, FakeWorker, Received, unsigned

pytestmark = pytest.mark.anyio


async def test_there_are_never_more_connections_than_allowed() -> None:
    async def never(_: Received, answer: Answer) -> None:
        await asyncio.sleep(3600)

    worker = FakeWorker("alpha", free_ports(1)[0], script=never)
    await worker.open(pid=1)
    upstream = Upstream("alpha", worker.port, unsigned, max_connections=2)
    waiting = [asyncio.create_task(upstream.ask("POST", b"/v1/x", [], b"{}")) for _ in range(2)]
    await until(lambda: len(worker.received) == 2)
    with pytest.raises(QueueFull):
        await upstream.ask("POST", b"/v1/x", [], b"{}")
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await until(worker.hung_up.is_set)
    worker.script = answer_ok
    assert (await upstream.ask("POST", b"/v1/x", [], b"{}")).status == 200
    await worker.die()


async def test_those_who_connect_at_the_same_time_are_counted_too() -> None:
    worker = FakeWorker("alpha", free_ports(1)[0], script=answer_ok)
    await worker.open(pid=1)
    upstream = Upstream("alpha", worker.port, unsigned, max_connections=2)
    asking = [upstream.ask("POST", b"/v1/x", [], b"{}") for _ in range(5)]
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert [isinstance(answer, QueueFull) for answer in answers] == [False, False, True, True, True]
    assert worker.connections == 2
    await worker.die()


async def answer_ok(_: Received, answer: Answer) -> None:
    await answer.whole(b"ok")


async def test_an_answer_that_was_not_read_to_its_end_is_not_followed_by_another() -> None:
    worker = FakeWorker("alpha", free_ports(1)[0], script=answer_ok)
    await worker.open(pid=1)
    upstream = Upstream("alpha", worker.port, unsigned)
    for _ in range(2):
        upstream.release(await upstream.ask("POST", b"/v1/x", [], b"{}"))
    assert worker.connections == 2
    await worker.die()


async def test_where_nothing_listens_the_worker_is_unreachable_and_named() -> None:
    with pytest.raises(WorkerUnreachable, match=r'"alpha".*takes no connection'):
        await Upstream("alpha", free_ports(1)[0], unsigned).ask("POST", b"/v1/x", [], b"{}")


def test_the_head_of_a_request() -> None:
    assert request_head("POST", b"/v1/x?a=1", 47850, [(b"accept", b"*/*")], 7) == (
        b"POST /v1/x?a=1 HTTP/1.1\r\nhost: 127.0.0.1:47850\r\naccept: */*\r\ncontent-length: 7\r\n\r\n"
    )


def test_headers_that_belong_to_one_connection_or_to_the_client_do_not_pass() -> None:
    given = [
        (b"connection", b"close, X-Hop"),
        (b"x-hop", b"1"),
        (b"transfer-encoding", b"chunked"),
        (b"x-forwarded-for", b"10.0.0.1"),
        (b"accept", b"text/event-stream"),
    ]
    assert headers_for_worker(given, b"r1") == [(b"accept", b"text/event-stream"), (b"x-request-id", b"r1")]
    answered = [(b"connection", b"close"), (b"content-type", b"text/plain"), (b"set-cookie", b"a=b")]
    assert headers_for_client(answered) == [(b"content-type", b"text/plain")]
