"""A connection that is gone before its answer: who works for it is told, and nobody of an error."""

import asyncio

import pytest
from starlette.types import Receive, Scope, Send

from mlxhub.web.server import bind_socket, serve

pytestmark = pytest.mark.anyio

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """Both programs run on uvloop, which is stricter about what is written where."""
    return "asyncio", {"use_uvloop": True}


class LateAnswer:
    """Answers when it is let."""

    def __init__(self) -> None:
        self.may_come = asyncio.Event()
        self.came = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            while True:
                await send({"type": f"{(await receive())['type']}.complete"})
        await self.may_come.wait()
        try:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
            await send({"type": "http.response.body", "body": b"ok"})
        finally:
            self.came.set()


@pytest.mark.parametrize("rest", [b"\x00", GET + b"\x00", GET + b"nonsense\r\n\r\n"])
async def test_what_cannot_be_read_ends_a_connection_and_the_answer_before_it_in_silence(
    rest: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    app, stop = LateAnswer(), asyncio.Event()
    sock = bind_socket("127.0.0.1", 0)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(serve(app, sock, begin_drain=lambda: None, is_idle=lambda: True, stop=stop))
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection(*sock.getsockname())
            writer.write(GET + rest)
            assert await reader.read() == b""
            app.may_come.set()
            await app.came.wait()
        writer.close()
        stop.set()
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


class Work:
    """Takes its time over every request, until its client leaves."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.left = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            while True:
                await send({"type": f"{(await receive())['type']}.complete"})
        self.begun.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        self.left.set()


LARGE = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n" + b"x" * 200_000


@pytest.mark.parametrize("sent", [GET, GET + GET, GET * 5, GET * 40, GET + b"GET / HT", GET + LARGE])
@pytest.mark.parametrize("end", ["closes", "resets"])
async def test_who_works_for_a_client_learns_that_it_left_whatever_it_sent_behind_its_request(
    sent: bytes, end: str
) -> None:
    work, stop = Work(), asyncio.Event()
    sock = bind_socket("127.0.0.1", 0)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(serve(work, sock, begin_drain=lambda: None, is_idle=lambda: True, stop=stop))
        _, writer = await asyncio.open_connection(*sock.getsockname())
        try:
            writer.write(sent)
            async with asyncio.timeout(5):
                await work.begun.wait()
                if end == "closes":
                    writer.close()
                else:
                    writer.transport.abort()
                await work.left.wait()
        finally:
            writer.transport.abort()
            stop.set()
