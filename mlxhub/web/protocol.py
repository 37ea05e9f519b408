"""uvicorn's httptools protocol with bounds: on sizes while a request comes in, on time while anybody waits.

httptools is strict about framing (one Content-Length or chunks, no bare LF, no folded header) and boundless
in size; h11 is the reverse, at twice the CPU. So the bounds are ours.
"""

import asyncio
import os
from dataclasses import dataclass
from typing import Any, cast

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from mlxhub.errors import MlxhubError
from mlxhub.files.peers import peer_uid
from mlxhub.protocol.errors import error_envelope, http_error
from mlxhub.refusals import HeadTooLarge, MalformedHttp, RequestTooSlow, TargetTooLong

# In a request's scope: it came by the hub's own socket, from a process of the same user.
FROM_OWNER = "mlxhub.from_owner"
# Requests that may come while another is answered; a body that comes meanwhile has to be small too.
_MOST_WAITING = 16
_SEPARATORS = len(b": \r\n")
# A client that takes this much within the limit takes its time, and nothing worse.
_TAKEN_BYTES = 16_384
# To copy more costs more than the second write.
_MOST_JOINED_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Limits:
    """`head_seconds`: from a connection's begin, and again from the first byte of each further request.

    `body_seconds` plus one for each megabyte that came. `taking_seconds`: for a client that takes nothing of
    what is sent, also of the rest after an answer's end. `lingering_seconds` and `lingering_bytes`: for a
    client that was answered and has not sent all; to hang up at once would take the answer from it.
    """

    head_bytes: int = 32_768
    headers: int = 64
    target_bytes: int = 4096
    framing_bytes: int = 16_384
    framing_per_body_byte: int = 8
    head_seconds: float = 10.0
    body_seconds: float = 30.0
    taking_seconds: float = 30.0
    lingering_seconds: float = 1.0
    lingering_bytes: int = 64_000_000


LIMITS = Limits()


class BoundedProtocol(HttpToolsProtocol):
    """One connection. `sweep` is to be called from time to time: the deadlines hold as exactly as that."""

    from_owner = False

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        limits: Limits = LIMITS,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = limits
        self._refusal: MlxhubError | None = None
        self._upgrade_asked = False
        self._resuming = False
        self._answering: RequestResponseCycle | None = None
        self._begin_head()
        # Since when what is due now is awaited: a head, a body, that the client takes, that it is gone.
        self._head_since: float | None = self.loop.time()
        self._body_since: float | None = None
        self._untaken_since: float | None = None
        self._written_bytes = self._taken_bytes = 0
        self._lingering_since: float | None = None
        self._lingered_bytes = 0

    def sweep(self) -> None:
        """End what takes longer than it may. An answer to a request that came whole may take its time."""
        now, limits = self.loop.time(), self._limits
        self._note_taking(now)
        if _is_over(self._untaken_since, now, limits.taking_seconds):
            self.transport.abort()
        elif _is_over(self._lingering_since, now, limits.lingering_seconds):
            self.transport.close()
        # Of one whose earlier request is being answered, nothing is read until that is done.
        elif self._lingering_since is None and not self.pipeline and not self.transport.is_closing():
            self._refuse_late(now)

    def _note_taking(self, now: float) -> None:
        """What the kernel takes no more of is what the client has not taken; while it takes, it may go on."""
        untaken = self.transport.get_write_buffer_size()
        taken = self._written_bytes - untaken
        if untaken == 0:
            self._untaken_since = None
        elif self._untaken_since is None or taken - self._taken_bytes >= _TAKEN_BYTES:
            self._untaken_since = now
            self._taken_bytes = taken

    def _refuse_late(self, now: float) -> None:
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is not None and not cycle.response_complete and not cycle.more_body:
            # What comes while an answer is on its way, a stray line end perhaps, has until after it.
            if self._head_since is not None:
                self._head_since = now
            return
        body_seconds = self._limits.body_seconds + self._body_bytes / 1e6
        if _is_over(self._head_since, now, self._limits.head_seconds):
            self._refuse(RequestTooSlow("head", self._limits.head_seconds))
        elif _is_over(self._body_since, now, body_seconds):
            self._refuse(RequestTooSlow("body", round(body_seconds)))

    # What the transport calls.

    def data_received(self, data: bytes) -> None:
        if self._lingering_since is not None:
            self._lingered_bytes += len(data)
            if self._lingered_bytes > self._limits.lingering_bytes:
                self.transport.close()
            return
        if self._in_head and self._head_since is None:
            self._head_since = self.loop.time()
        self._fed_bytes += len(data)
        self._unset_keepalive_if_required()
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self._refuse(self._refusal or MalformedHttp())
            return
        if self._in_head:
            if self._fed_bytes > self._limits.head_bytes:
                self._refuse(HeadTooLarge(self._limits.head_bytes, self._limits.headers))
        elif self._fed_bytes - self._head_bytes - self._body_bytes > self._framing_allowed:
            self._refuse(MalformedHttp("The framing of the body's chunks is larger than it may be."))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answering is not None and not self._answering.response_complete:
            # uvicorn tells the request that came last, and another one before it may be at work.
            self._answering.disconnected = True
            self._answering.message_event.set()
        super().connection_lost(exc)

    # What the parser calls. It stops at what is raised, and the request ends with `_refusal`.

    def on_message_begin(self) -> None:
        if self._resuming:
            return
        super().on_message_begin()
        if self._head_since is None:  # it came in one piece with the end of the request before it
            self._head_since = self.loop.time()
        if self.from_owner:
            self.scope[FROM_OWNER] = True  # type: ignore[literal-required]  # servers may add keys

    def on_url(self, url: bytes) -> None:
        if self._resuming:
            return
        super().on_url(url)
        self._head_bytes += len(url)
        if len(self.url) > self._limits.target_bytes:
            raise self._because(TargetTooLong(self._limits.target_bytes))

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._resuming:
            return
        if not self._in_head:
            raise self._because(MalformedHttp("Trailers behind the body are not taken."))
        super().on_header(name, value)
        self._head_bytes += len(name) + len(value) + _SEPARATORS
        limits = self._limits
        if self._head_bytes > limits.head_bytes or len(self.headers) > limits.headers:
            raise self._because(HeadTooLarge(limits.head_bytes, limits.headers))

    def on_headers_complete(self) -> None:
        if self._resuming:
            return
        if not self.url.startswith(b"/"):
            raise self._because(MalformedHttp("The target of a request must be a path."))
        self._in_head = False
        self._head_since = None
        self._body_since = self.loop.time()
        self._upgrade_asked = self.parser.should_upgrade()
        super().on_headers_complete()
        self._go_on_reading()
        self.cycle.transport = cast("asyncio.Transport", _AnswerTransport(self, self.cycle))

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        super().on_body(body)
        if self.pipeline and len(self.cycle.body) > HIGH_WATER_LIMIT:
            self.transport.abort()

    def on_message_complete(self) -> None:
        if self._upgrade_asked:
            return  # the parser believes so: see _feed
        self._begin_head()
        self._body_since = None
        super().on_message_complete()

    # What uvicorn calls.

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        assert isinstance(self._answering, RequestResponseCycle)
        cast("_AnswerTransport", self._answering.transport).let_head_go()
        super().on_response_complete()
        if self._body_since is not None and self.cycle.response_complete and not self.transport.is_closing():
            self._linger()

    def write(self, data: bytes) -> None:
        if not self.transport.is_closing():  # uvloop raises where the connection is gone and nobody was told
            self._written_bytes += len(data)
            self.transport.write(data)

    def end_answer(self) -> None:
        """An answer that says `connection: close` is complete."""
        if self._body_since is None:
            self.transport.close()
        else:
            self._linger()

    @property
    def _framing_allowed(self) -> int:
        return self._limits.framing_bytes + self._limits.framing_per_body_byte * self._body_bytes

    def _go_on_reading(self) -> None:
        """uvicorn stops while requests wait for an answer, but only who reads learns that the client left."""
        if len(self.pipeline) > _MOST_WAITING:
            self.transport.abort()
        elif self.pipeline:
            self.flow.resume_reading()

    def _begin_head(self) -> None:
        self._in_head = True
        self._head_bytes = self._body_bytes = self._fed_bytes = 0

    def _feed(self, data: bytes) -> None:
        """As if nobody had asked for an upgrade, as HTTP allows: Java's client asks for h2c each time.

        The parser takes such a request's body for the other protocol, so another one goes on with it.
        """
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgrade_asked = False
            self.parser = httptools.HttpRequestParser(self)
            framing = [h for h in self.headers if h[0] in (b"content-length", b"transfer-encoding")]
            self._resuming = True
            self.parser.feed_data(
                b"".join((b"POST / HTTP/1.1\r\n", *(b"%s: %s\r\n" % header for header in framing), b"\r\n"))
            )
            self._resuming = False
            if rest := data[upgrade.args[0] :]:
                self._feed(rest)

    def _because(self, refusal: MlxhubError) -> MlxhubError:
        """The parser hides what is raised in it."""
        self._refusal = refusal
        return refusal

    def _refuse(self, refusal: MlxhubError) -> None:
        """Answer and close. Where the answer to another request is due first, only close."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is not None and not cycle.response_complete:
            if self.pipeline or cycle.response_started or not cycle.more_body:
                self.transport.abort()
                return
            cycle.disconnected = True
            cycle.message_event.set()
        content = error_envelope(refusal).model_dump_json().encode()
        lines = [
            STATUS_LINE[http_error(refusal).status].removesuffix(b"\r\n"),
            *(b"%s: %s" % header for header in self.server_state.default_headers),
            b"content-type: application/json",
            b"content-length: %d" % len(content),
            b"connection: close",
            b"\r\n",
        ]
        self.write(b"\r\n".join(lines) + content)
        self._linger()

    def _linger(self) -> None:
        """Our side is done. What still comes is dropped for a moment: a reset would eat the answer."""
        self._unset_keepalive_if_required()
        if self._lingering_since is None:
            self._lingering_since = self.loop.time()
            self.transport.write_eof()


class OwnerProtocol(BoundedProtocol):
    """On the hub's own socket: another user's process is hung up on."""

    from_owner = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        if peer_uid(transport.get_extra_info("socket")) != os.getuid():
            transport.abort()


class _AnswerTransport:
    """What an answer is written to. Its end is not at once that of the connection.

    Its head leaves together with what follows it at once: a second system call, and a second packet that
    wakes the client, would cost as much as all that the middleware does.
    """

    __slots__ = ("_connection", "_cycle", "_has_begun", "_head", "is_closing")

    def __init__(self, connection: BoundedProtocol, cycle: RequestResponseCycle) -> None:
        self.is_closing = connection.transport.is_closing
        self._connection = connection
        self._cycle = cycle
        self._head = b""
        self._has_begun = False

    def write(self, data: bytes) -> None:
        if self._head:
            head, self._head = self._head, b""
            if len(data) > _MOST_JOINED_BYTES:
                self._connection.write(head)
                self._connection.write(data)
            else:
                self._connection.write(head + data)
        elif self._has_begun or not self._cycle.response_started:
            self._connection.write(data)
        else:
            self._has_begun = True
            self._head = data
            self._connection.loop.call_soon(self.let_head_go)

    def let_head_go(self) -> None:
        """Without the rest, where that is not there yet."""
        if self._head:
            self.write(b"")

    def close(self) -> None:
        self.let_head_go()
        self._connection.end_answer()


def _is_over(since: float | None, now: float, seconds: float) -> bool:
    return since is not None and now - since > seconds
