"""A connection is HTTP/1.1 as it should be, whatever the client asks for on top."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from starlette.types import Receive, Scope, Send

from mlxhub.web.protocol import LIMITS, Limits
from mlxhub.web.server import bind_socket, serve

pytestmark = pytest.mark.anyio

FLOOD_BYTES = 64_000_000
H2C = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n"


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the method and the body; `/slow` late, `/flood` with more than any buffer holds.

    Of `/head` the body comes once the client has left. `/early` is answered before its own body has come.
    """
    if scope["type"] == "lifespan":
        while True:
            await send({"type": f"{(await receive())['type']}.complete"})
    body = scope["method"].encode() + b" "
    while scope["path"] != "/early":
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    if scope["path"] == "/slow":
        await asyncio.sleep(1.5)
    if scope["path"] == "/flood":
        body = b"x" * FLOOD_BYTES
    length = b"%d" % len(body)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    if scope["path"] == "/head":
        await receive()
    await send({"type": "http.response.body", "body": body})


@dataclass
class Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def say(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.writer.write(piece)

    async def answer(self) -> tuple[int, bytes]:
        async with asyncio.timeout(10):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            return int(head.split(b" ")[1]), await self.reader.readexactly(length)


@asynccontextmanager
async def served(limits: Limits = LIMITS) -> AsyncIterator[Connection]:
    sock = bind_socket("127.0.0.1", 0)
    stop = asyncio.Event()
    reader, writer = await asyncio.open_connection(*sock.getsockname())
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(
            serve(echo, sock, begin_drain=lambda: None, is_idle=lambda: True, limits=limits, stop=stop)
        )
        try:
            yield Connection(reader, writer)
        finally:
            writer.transport.abort()
            stop.set()


@pytest.mark.parametrize("framing", ["length", "chunks"])
async def test_a_request_that_asks_for_an_upgrade_keeps_its_body(framing: str) -> None:
    head = b"POST / HTTP/1.1\r\n" + H2C
    if framing == "length":
        request = head + b"content-length: 11\r\n\r\nhello world"
    else:
        request = head + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
    async with served() as connection:
        connection.say(request)
        assert await connection.answer() == (200, b"POST hello world")
        for byte in request:
            connection.say(bytes([byte]))
            await asyncio.sleep(0)
        assert await connection.answer() == (200, b"POST hello world")
        connection.say(b"GET / HTTP/1.1\r\n" + H2C + b"\r\n")
        assert await connection.answer() == (200, b"GET ")


async def test_requests_that_come_at_once_are_answered_in_their_order() -> None:
    async with served() as connection:
        connection.say(*(b"POST / HTTP/1.1\r\ncontent-length: 1\r\n\r\n%d" % number for number in range(9)))
        assert [await connection.answer() for _ in range(9)] == [(200, b"POST %d" % n) for n in range(9)]


async def test_what_comes_during_an_answer_does_not_end_it_and_has_its_own_time_after_it() -> None:
    async with served(Limits(head_seconds=0.5)) as connection:
        connection.say(b"GET /slow HTTP/1.1\r\n\r\n", b"GET / HT")
        assert await connection.answer() == (200, b"GET ")
        assert (await connection.answer())[0] == 408


async def test_a_head_of_any_size_below_the_limit_may_come_with_a_large_body() -> None:
    """What comes in one piece with the head is no part of it."""
    async with served() as connection:
        body = b"x" * 5_000_000
        connection.say(b"POST / HTTP/1.1\r\nx: %s\r\ncontent-length: %d\r\n\r\n" % (b"y" * 32_000, len(body)))
        connection.say(body)
        assert await connection.answer() == (200, b"POST " + body)


async def test_a_client_that_takes_nothing_is_hung_up_on_and_one_that_takes_its_time_is_not() -> None:
    for reads, whole in ((10, True), (3, False)):
        async with served(Limits(taking_seconds=1.0)) as connection:
            connection.say(b"GET /flood HTTP/1.1\r\n\r\n")
            await connection.reader.readuntil(b"\r\n\r\n")
            left = FLOOD_BYTES
            for _ in range(reads):  # ten of them last longer than the limit
                piece = await connection.reader.readexactly(4_000_000)
                left -= len(piece)
                await asyncio.sleep(0.25)
            if not whole:
                connection.writer.transport.pause_reading()  # type: ignore[attr-defined]
                await asyncio.sleep(2.5)
                connection.writer.transport.resume_reading()  # type: ignore[attr-defined]
            came = 0
            with contextlib.suppress(ConnectionError):
                while piece := await connection.reader.read(4_000_000):
                    came += len(piece)
                    if came == left:
                        break
            assert (came == left) is whole


async def test_an_answer_whose_body_is_there_comes_in_one_piece() -> None:
    async with served() as connection:
        for _ in range(20):
            connection.say(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            async with asyncio.timeout(10):
                piece = await connection.reader.read(65_536)
            assert piece.endswith(b"\r\n\r\nGET ")


async def test_a_head_whose_body_is_not_there_yet_does_not_wait_for_it() -> None:
    async with served() as connection:
        connection.say(b"GET /head HTTP/1.1\r\nhost: a\r\n\r\n")
        async with asyncio.timeout(10):
            head = await connection.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")


async def test_an_answer_without_a_body_comes_before_the_connection_ends() -> None:
    async with served() as connection:
        connection.say(b"HEAD / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        async with asyncio.timeout(10):
            answer = await connection.reader.read()
        assert answer.startswith(b"HTTP/1.1 200")
        assert answer.endswith(b"\r\n\r\n")


async def test_an_answer_without_a_body_comes_although_its_request_is_not_whole() -> None:
    async with served() as connection:
        connection.say(b"HEAD /early HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nhalf")
        async with asyncio.timeout(10):
            answer = await connection.reader.read()
        assert answer.startswith(b"HTTP/1.1 200")
