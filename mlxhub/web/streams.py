"""Answers that take long: server-sent events, and computations that end when the client leaves."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from loguru import logger
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from mlxhub.errors import MlxhubError
from mlxhub.protocol import sse
from mlxhub.refusals import GenerationFailed
from mlxhub.web.responses import error_response

KEEPALIVE_SECONDS = 10.0
CONTENT_TYPE = {"content-type": "text/event-stream; charset=utf-8"}

T = TypeVar("T")


async def run_unless_disconnected(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, cancelled with ClientDisconnect when the client leaves. Read the body first."""
    asker = asyncio.current_task()
    assert asker is not None
    has_left = False

    async def watch() -> None:
        nonlocal has_left
        await _disconnected(receive)
        has_left = True
        asker.cancel()

    watching = asyncio.create_task(watch())
    try:
        return await work
    except asyncio.CancelledError:
        # As in asyncio.timeout: whoever else cancels means more than this request.
        if has_left and asker.cancelling() == 1:
            raise ClientDisconnect from None
        raise
    finally:
        # Not awaited: it holds nothing, and this is on the way of every request.
        watching.cancel()
        if has_left:
            asker.uncancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class EventStream(Response):
    """Sends each event as it comes, a keepalive in silences, and notices the client's hang-up at once.

    An MlxhubError before the first byte becomes a plain error answer, after it an error event. `events` is
    closed in every case.
    """

    def __init__(
        self,
        events: AsyncGenerator[bytes, None],
        headers: Mapping[str, str] = MappingProxyType({}),
        *,
        keepalive: Callable[[], bytes] = lambda: sse.KEEPALIVE,
        error_event: Callable[[MlxhubError], bytes] = sse.error_event,
        keepalive_seconds: float = KEEPALIVE_SECONDS,
    ) -> None:
        super().__init__(headers={**headers, **CONTENT_TYPE})
        del self.headers["content-length"]
        self._events = events
        self._keepalive = keepalive
        self._error_event = error_event
        self._keepalive_seconds = keepalive_seconds
        self._started = False
        self._sending = False
        self._sent_at = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._sent_at = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as tasks:
            pump = tasks.create_task(self._pump(scope, receive, send))
            watchers = [
                tasks.create_task(self._cancel_when_disconnected(receive, pump)),
                tasks.create_task(self._fill_silences(send, pump)),
            ]
            pump.add_done_callback(lambda _: [watcher.cancel() for watcher in watchers])

    async def _pump(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async for event in self._events:
                await self._send(send, event)
        except MlxhubError as error:
            if not self._started:
                await error_response(error)(scope, receive, send)
                return
            await self._send(send, self._error_event(error))
        except Exception:
            if not self._started:
                raise
            logger.exception("Unexpected error in a stream")
            await self._send(send, self._error_event(GenerationFailed("internal error. The log says more.")))
        finally:
            await self._events.aclose()
        await self._send(send, b"", more=False)

    async def _send(self, send: Send, event: bytes, *, more: bool = True) -> None:
        self._sending = True
        if not self._started:
            self._started = True
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": event, "more_body": more})
        self._sending = False
        self._sent_at = asyncio.get_running_loop().time()

    async def _cancel_when_disconnected(self, receive: Receive, pump: asyncio.Task[None]) -> None:
        await _disconnected(receive)
        pump.cancel()

    async def _fill_silences(self, send: Send, pump: asyncio.Task[None]) -> None:
        """One watch beside the pump costs nothing per event, a timeout around each event would."""
        clock = asyncio.get_running_loop().time
        while not pump.done():
            await asyncio.sleep(self._keepalive_seconds / 4)
            if not self._sending and clock() - self._sent_at > self._keepalive_seconds:
                await self._send(send, self._keepalive())
