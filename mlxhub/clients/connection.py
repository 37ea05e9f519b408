"""One HTTP/1.1 connection to a worker, one exchange at a time: a request in, head and body chunks out."""

import asyncio
from collections.abc import Callable
from typing import cast

import httptools

from mlxhub.clients.headers import Headers

# A consumer this far behind stops the worker from sending more.
HIGH_WATER_BYTES = 256 * 1024
# Small requests leave in one segment; copying a large body to save one write does not pay.
JOIN_BYTES = 64 * 1024


class ConnectionLost(Exception):
    """The connection ended, or spoke nonsense, before the response was complete."""


class Connection(asyncio.Protocol):
    """`status` and `headers` hold once `head` returned. Header names are lower-case."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_lost: Callable[["Connection"], None]) -> None:
        self.status = 0
        self.headers: Headers = []
        self.sent_at = 0.0
        self.idle_since = 0.0
        self.answering = False
        self._loop = loop
        self._on_lost = on_lost
        self._transport: asyncio.Transport
        self._parser: httptools.HttpResponseParser | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._chunks: list[bytes] = []
        self._buffered_bytes = 0
        self._paused = False
        self._head_complete = False
        self._complete = False
        self._ends_with_connection = False
        self._keep_alive = False
        self._lost = False

    def send(self, head: bytes, body: bytes) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self.status = 0
        self.headers = []
        self.sent_at = self._loop.time()
        self.answering = self._head_complete = self._complete = False
        if len(body) <= JOIN_BYTES:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)

    async def head(self) -> None:
        """Wait for the response's status and headers. Raises ConnectionLost."""
        while not self._head_complete:
            if self._lost:
                raise ConnectionLost
            await self._wait()

    async def next_chunk(self) -> bytes | None:
        """What has come of the body since the last call, at least one byte; None at its end."""
        while not self._chunks:
            if self._complete:
                return None
            if self._lost:
                raise ConnectionLost
            await self._wait()
        chunk = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._buffered_bytes = 0
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        return chunk

    @property
    def complete(self) -> bool:
        """Nothing more will come than what `next_chunk` has still to give."""
        return self._complete

    @property
    def usable(self) -> bool:
        return not self._lost and not self._transport.is_closing()

    def make_reusable(self) -> bool:
        """After an exchange: whether another one may follow on this connection."""
        unsent = self._transport.get_write_buffer_size()
        if not (self._complete and self._keep_alive and self.usable and not self._chunks and unsent == 0):
            return False
        self._parser = None
        self.idle_since = self._loop.time()
        return True

    def abort(self) -> None:
        # An answer that ends with its connection has not come to its end then.
        self._ends_with_connection = False
        self._transport.abort()

    async def _wait(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods of asyncio.Transport, but are none by class.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._parser is None:
            # Nobody asked: whatever this is, it must not become the answer to the next request.
            self._transport.abort()
            return
        self.answering = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._lost = True
            self._transport.abort()
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        if self._head_complete and self._ends_with_connection and error is None:
            self._complete = True
        self._lost = True
        self._wake()
        self._on_lost(self)

    # httptools.HttpResponseParser

    def on_message_begin(self) -> None:
        if self._complete:
            # A second response that nobody asked for: raising makes the parser stop before it is read.
            raise ConnectionLost

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        status = self._parser.get_status_code()
        if status < 200:
            self.headers = []
            return
        framed = any(name in (b"content-length", b"transfer-encoding") for name, _ in self.headers)
        self._ends_with_connection = not framed and status not in (204, 304)
        self._keep_alive = self._parser.should_keep_alive()
        self.status = status
        self._head_complete = True

    def on_body(self, body: bytes) -> None:
        self._chunks.append(body)
        self._buffered_bytes += len(body)
        if self._buffered_bytes > HIGH_WATER_BYTES and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        if self._head_complete:
            self._complete = True
