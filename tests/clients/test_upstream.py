"""The pool of connections to one worker: bounded, and empty again when nobody asks."""

import asyncio

import pytest

from mlxhub.clients.headers import headers_for_client, headers_for_worker, request_head
from mlxhub.clients.upstream import Upstream, WorkerUnreachable
from mlxhub.core.keys import make_proof
from mlxhub.refusals import QueueFull
from tests.fakes.ports import free_ports
from tests.fakes.waiting import until
from tests.fakes.worker import SECRET, Answer, FakeWorker, Received, Trusting

pytestmark = pytest.mark.anyio


async def test_there_are_never_more_connections_than_allowed() -> None:
    async def never(_: Received, answer: Answer) -> None:
        await asyncio.sleep(3600)

    worker = FakeWorker("alpha", free_ports(1)[0], script=never)
    await worker.open(pid=1)
    upstream = Upstream("alpha", worker.port, Trusting(), max_connections=2)
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
    upstream = Upstream("alpha", worker.port, Trusting(), max_connections=2)
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
    upstream = Upstream("alpha", worker.port, Trusting())
    for _ in range(2):
        upstream.release(await upstream.ask("POST", b"/v1/x", [], b"{}"))
    assert worker.connections == 2
    await worker.die()


async def test_where_nothing_listens_the_worker_is_unreachable_and_named() -> None:
    with pytest.raises(WorkerUnreachable, match=r'"alpha".*takes no connection'):
        await Upstream("alpha", free_ports(1)[0], Trusting()).ask("POST", b"/v1/x", [], b"{}")


async def says(first: bytes, heard: list[bytes]) -> asyncio.Server:
    """What answers every connection so, with the right PROOF for each, and keeps what it hears."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        nonce = heard[0].split()[1].removeprefix(b"/identity/").decode()
        proof = make_proof(SECRET, writer.get_extra_info("sockname")[1], nonce)
        writer.write(first.replace(PROOF, proof.encode()))
        heard.append(await reader.read())
        writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", 0)


def as_json(body: bytes, *headers: bytes) -> bytes:
    framing = b"content-length: %d" % len(body)
    return b"\r\n".join((b"HTTP/1.1 200 OK", framing, *headers, b"", body))


# As long as one.
PROOF = b"P" * 64
PROVEN = b'{"proof": "%s"}' % PROOF


@pytest.mark.parametrize(
    "answer",
    [
        as_json(b'{"proof": "%s"}' % PROOF.lower()),
        as_json(b'{"proof": ""}'),
        as_json(b'{"proof": null}'),
        as_json(b"{}"),
        as_json(b"\xff"),
        as_json(PROVEN, b"connection: close"),
        as_json(PROVEN + b" " * 2000),
        as_json(PROVEN) + as_json(b"{}"),
        b"HTTP/1.1 200 OK\r\n\r\n" + PROVEN,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"400\r\n" + b" " * 1024 + b"\r\n" * 2,
        b"220 mail.example ESMTP\r\n",
        b"",
    ],
    ids=[
        "another",
        "of no hub",
        "null",
        "nothing",
        "no text",
        "once",
        "much",
        "two",
        "to the end",
        "endless",
        "no HTTP",
        "silent",
    ],
)
async def test_who_does_not_prove_that_it_is_the_worker_is_told_nothing(
    answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlxhub.clients.upstream.IDENTITY_SECONDS", 0.3)
    heard: list[bytes] = []
    async with await says(answer, heard) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(WorkerUnreachable, match=r'"alpha".*answers on port'):
            async with asyncio.timeout(10):
                await Upstream("alpha", port, Trusting()).ask("POST", b"/v1/x", [(b"a", b"b")], b"a secret")
        await until(lambda: len(heard) == 2)
    assert heard[0].startswith(b"GET /identity/")
    assert heard[0].count(b"\r\n") == 4  # host and content-length
    assert heard[1] == b""


async def test_every_connection_asks_with_another_nonce() -> None:
    asked: list[str] = []

    class Listening(Trusting):
        def is_worker(self, port: int, nonce: str, proof: str) -> bool:
            asked.append(nonce)
            return super().is_worker(port, nonce, proof)

    worker = FakeWorker("alpha", free_ports(1)[0], script=answer_ok)
    await worker.open(pid=1)
    upstream = Upstream("alpha", worker.port, Listening())
    for _ in range(3):
        await upstream.ask("POST", b"/v1/x", [], b"{}")
    assert len(set(asked)) == 3
    await worker.die()


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
