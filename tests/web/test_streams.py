"""Server-sent events and long computations against clients that leave, stall, or see errors."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from mlxhub.refusals import GenerationFailed, QueueFull
from mlxhub.web.streams import EventStream, run_unless_disconnected

SCOPE: dict[str, Any] = {"type": "http", "method": "POST", "path": "/", "headers": []}


class Client:
    """One ASGI connection. `leave` hangs up."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self._left = asyncio.Event()

    def leave(self) -> None:
        self._left.set()

    async def receive(self) -> Any:
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)


class Events:
    """An event source that knows whether it was closed."""

    def __init__(self, *steps: bytes | Exception | Callable[[], Awaitable[object]]) -> None:
        self._steps = steps
        self.closed = False

    async def run(self) -> AsyncGenerator[bytes, None]:
        try:
            for step in self._steps:
                match step:
                    case bytes():
                        yield step
                    case Exception():
                        raise step
                    case _:
                        await step()
        finally:
            self.closed = True


def never() -> Awaitable[object]:
    return asyncio.Event().wait()


async def in_time(work: Awaitable[object]) -> None:
    async with asyncio.timeout(2):
        await work


def test_events_are_sent_in_order_and_the_source_is_closed() -> None:
    async def story() -> None:
        client, events = Client(), Events(b"data: 1\n\n", b"data: 2\n\n")
        await in_time(EventStream(events.run())(SCOPE, client.receive, client.send))
        assert client.body == b"data: 1\n\ndata: 2\n\n"
        assert client.sent[-1]["more_body"] is False
        headers = dict(client.sent[0]["headers"])
        assert headers[b"content-type"].startswith(b"text/event-stream")
        assert b"content-length" not in headers
        assert events.closed

    asyncio.run(story())


@pytest.mark.parametrize("before", [(), (b"data: 1\n\n",)], ids=["before the first event", "after it"])
def test_a_hang_up_closes_the_source_at_once(before: tuple[bytes, ...]) -> None:
    async def story() -> None:
        client, events = Client(), Events(*before, never)
        stream = EventStream(events.run())
        asyncio.get_running_loop().call_later(0.02, client.leave)
        await in_time(stream(SCOPE, client.receive, client.send))
        assert events.closed

    asyncio.run(story())


def test_an_error_before_the_first_event_is_a_plain_answer() -> None:
    async def story() -> None:
        client, events = Client(), Events(QueueFull(3))
        await in_time(EventStream(events.run())(SCOPE, client.receive, client.send))
        assert client.status == 429
        assert json.loads(client.body)["error"]["code"] == "queue_full"

    asyncio.run(story())


@pytest.mark.parametrize("error", [GenerationFailed("x"), ValueError("secret")])
def test_an_error_within_a_stream_is_an_event(error: Exception) -> None:
    async def story() -> None:
        client, events = Client(), Events(b"data: 1\n\n", error)
        await in_time(EventStream(events.run())(SCOPE, client.receive, client.send))
        last = client.body.split(b"\n\n")[-2]
        assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == "generation_failed"
        assert b"secret" not in client.body
        assert client.sent[-1]["more_body"] is False

    asyncio.run(story())


def test_silence_is_filled_with_keepalives_and_later_errors_are_events() -> None:
    async def story() -> None:
        client, events = Client(), Events(lambda: asyncio.sleep(0.2), QueueFull(1))
        stream = EventStream(events.run(), keepalive_seconds=0.02)
        await in_time(stream(SCOPE, client.receive, client.send))
        assert client.status == 200
        assert client.body.count(b": keepalive\n\n") >= 2
        assert b'"queue_full"' in client.body

    asyncio.run(story())


def test_work_is_cancelled_and_ended_when_the_client_leaves() -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("work")

    async def story() -> None:
        client = Client()
        asyncio.get_running_loop().call_later(0.02, client.leave)
        with pytest.raises(ClientDisconnect):
            await in_time(run_unless_disconnected(client.receive, work()))
        assert ended == ["work"]

    asyncio.run(story())


def test_work_that_ends_gives_its_result_or_its_error() -> None:
    async def fail() -> None:
        raise QueueFull(1)

    async def story() -> None:
        assert await run_unless_disconnected(Client().receive, asyncio.sleep(0, "done")) == "done"
        with pytest.raises(QueueFull):
            await run_unless_disconnected(Client().receive, fail())

    asyncio.run(story())


def test_work_that_somebody_else_cancels_is_not_that_of_a_client_who_left() -> None:
    async def story() -> None:
        client = Client()
        asking = asyncio.create_task(run_unless_disconnected(client.receive, asyncio.sleep(30)))
        await asyncio.sleep(0.02)
        asking.cancel()
        await asyncio.wait([asking])
        assert asking.cancelled()

    asyncio.run(story())


def test_who_asked_for_work_is_not_cancelled_any_more_once_the_client_has_left() -> None:
    async def story() -> None:
        client = Client()
        client.leave()
        with pytest.raises(ClientDisconnect):
            await run_unless_disconnected(client.receive, asyncio.sleep(30))
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    asyncio.run(story())
