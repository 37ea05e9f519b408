"""A client for very many requests: keeps connections where it can, and says of each what became of it."""

import asyncio
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import httptools
import msgspec

from tests.attacks.mutated_requests import Mutations

# Of a request that came whole: until there is an answer, or an end.
ANSWER_SECONDS = 30.0
# Where it asks for another protocol, it cannot be told from here whether it came whole.
UNSURE_SECONDS = 1.0
# What tells of the inside: a traceback, a path, an address in memory.
_LEAKS = re.compile(rb"Traceback|/Users/|/home/|site-packages|\.py\b|0x[0-9a-f]{6,}")


class _ErrorBody(msgspec.Struct, forbid_unknown_fields=True):
    message: str
    type: str
    code: str | None
    param: str | None


class _Envelope(msgspec.Struct, forbid_unknown_fields=True):
    error: _ErrorBody


class _AnthropicBody(msgspec.Struct, forbid_unknown_fields=True):
    type: str
    message: str


class _AnthropicEnvelope(msgspec.Struct, forbid_unknown_fields=True):
    type: str
    error: _AnthropicBody
    request_id: str | None


_ENVELOPES = msgspec.json.Decoder(_Envelope)
_ANTHROPICS = msgspec.json.Decoder(_AnthropicEnvelope)


@dataclass(slots=True)
class Report:
    """`faults`: what must not be, with the request that it was said to."""

    requests: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    ended: int = 0
    faults: list[str] = field(default_factory=list)

    def add_fault(self, what: str, sent: bytes, said: bytes = b"") -> None:
        self.faults.append(f"{what}: {said[:600]!r} to {sent[:1500]!r}")


class Forecast:
    """What the parser that the servers use makes of some bytes.

    `whole`: so many requests. `is_refused`: it stops at something. `lacks_its_end`: it waits for more.
    `is_unsure`: it believes that another protocol follows.
    """

    def __init__(self, data: bytes) -> None:
        self.methods: list[bytes] = []
        self.whole = 0
        self.is_refused = self.is_unsure = False
        self._in_message = True
        self._parser = httptools.HttpRequestParser(self)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.is_unsure = True
        except httptools.HttpParserError:
            self.is_refused = True

    @property
    def lacks_its_end(self) -> bool:
        return self._in_message and not self.is_refused and not self.is_unsure

    @property
    def is_whole(self) -> bool:
        return not (self._in_message or self.is_refused or self.is_unsure)

    def on_message_begin(self) -> None:
        self._in_message = True

    def on_headers_complete(self) -> None:
        self.methods.append(self._parser.get_method())

    def on_message_complete(self) -> None:
        self._in_message = False
        self.whole += 1


class _Connection(asyncio.Protocol):
    """`data_received` is on the way of every answer, so it does little."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self.transport: asyncio.Transport | None = None
        self.closed = self.is_last = False
        self.answers = 0
        self._sent = b""
        self._expected = 0
        self._is_head = False
        self._body: list[bytes] = []
        self._parser = httptools.HttpResponseParser(self)
        self._done: asyncio.Future[None] | None = None

    # What asyncio calls.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # it is TCP
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            if not self._is_head:
                self._report.add_fault(f"no HTTP ({error})", self._sent, data)
            self._finish()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, _error: Exception | None) -> None:
        self.closed = True
        self._finish()

    # What the parser calls.

    def on_message_begin(self) -> None:
        self._body.clear()

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_headers_complete(self) -> None:
        if self._is_head:
            self._count(self._parser.get_status_code())

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status >= 200 and not self._is_head:
            self._count(status)

    def _count(self, status: int) -> None:
        self.answers += 1
        self.is_last = self._is_head or not self._parser.should_keep_alive()
        self._report.statuses[status] += 1
        if status >= 400:
            self._judge(status, b"".join(self._body))
        self._expected -= 1
        if self._expected == 0:
            self._finish()

    def _judge(self, status: int, body: bytes) -> None:
        if status >= 500:
            self._report.add_fault(str(status), self._sent, body)
        elif _LEAKS.search(body):
            self._report.add_fault("a leak", self._sent, body)
        elif status != 421 and not self._is_head:
            envelopes = _ANTHROPICS if b'"request_id"' in body else _ENVELOPES
            try:
                envelopes.decode(body)
            except msgspec.MsgspecError:
                self._report.add_fault(f"{status} in no envelope", self._sent, body)

    def _finish(self) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_result(None)

    async def ask(self, data: bytes, forecast: Forecast) -> None:
        """Until all of it is answered, or the server ended it. Raises TimeoutError."""
        assert self.transport is not None
        # Where the parser stops, an end must come, and where it waits for more, once we say that none comes.
        ends = forecast.is_refused or forecast.lacks_its_end
        self._sent = data
        self.answers = 0
        self._expected = -1 if ends else max(1, forecast.whole)
        self._is_head = b"HEAD" in forecast.methods
        self._done = asyncio.get_running_loop().create_future()
        self.transport.write(data)
        if forecast.lacks_its_end:
            self.transport.write_eof()
        if not self.closed:
            await self._done


async def fuzz(port: int, mutations: Mutations, count: int, report: Report) -> None:
    """One lane: `count` requests, one after the other."""
    connection: _Connection | None = None
    for _ in range(count):
        data = mutations.next()
        forecast = Forecast(data)
        if connection is None or connection.closed:
            connection = await _connect(port, report)
        report.requests += 1
        seconds = UNSURE_SECONDS if forecast.is_unsure else ANSWER_SECONDS
        try:
            async with asyncio.timeout(seconds):
                await connection.ask(data, forecast)
        except TimeoutError:
            if not forecast.is_unsure:
                report.add_fault(f"neither an answer nor an end within {seconds:g} s", data)
        if forecast.is_whole and connection.answers == 0:
            report.add_fault("no answer", data)
        report.ended += connection.closed
        if connection.is_last or not forecast.is_whole:
            _close(connection)
            connection = None
    _close(connection)


def _close(connection: _Connection | None) -> None:
    if connection is not None and connection.transport is not None:
        connection.transport.close()


async def _connect(port: int, report: Report) -> _Connection:
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(lambda: _Connection(report), "127.0.0.1", port)
    return connection


def shares(count: int, lanes: int) -> Iterator[int]:
    for lane in range(lanes):
        yield count // lanes + (lane < count % lanes)
