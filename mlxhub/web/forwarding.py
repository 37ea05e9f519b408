"""`/v1` requests on their way to who answers them and back: bytes untouched, hang-ups passed on at once."""

from contextlib import suppress
from types import TracebackType
from typing import Any, Protocol, Self

import msgspec
from loguru import logger
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from mlxhub.clients.connection import Connection, ConnectionLost
from mlxhub.clients.headers import Headers as HeaderLines
from mlxhub.clients.headers import headers_for_client, headers_for_worker
from mlxhub.clients.remote_error import remote_error
from mlxhub.errors import MlxhubError, WorkerSilent
from mlxhub.protocol.errors import RemoteError
from mlxhub.protocol.model_routes import FORMS, STREAMED
from mlxhub.refusals import InvalidRequest
from mlxhub.web.bodies import whole_body
from mlxhub.web.client_stream import EVENT_END, ClientStream, body_message
from mlxhub.web.forms import read_form
from mlxhub.web.request_id import request_id
from mlxhub.web.responses import client_error_response
from mlxhub.web.streams import KEEPALIVE_SECONDS, run_unless_disconnected

_LONGEST_REFUSAL = 100_000


class _Routed(msgspec.Struct):
    """All that is read of a body; msgspec checks the rest to be JSON without keeping it."""

    model: str
    stream: Any = None


_ROUTED = msgspec.json.Decoder(_Routed)


class Lease(Protocol):
    """The right to one exchange with who answers for a model: entered when it may begin, its end is its end.

    `name`: of the model. `ended_by`: what ended it from our side; None: nothing did.
    """

    @property
    def name(self) -> str: ...

    @property
    def ended_by(self) -> MlxhubError | None: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    async def ask(self, method: str, target: bytes, headers: HeaderLines, body: bytes) -> Connection:
        """Once. The response's head is in; its body is read from the connection."""


class Leases(Protocol):
    def lease(self, model_id: str, path: str, body: bytes, /) -> Lease:
        """To be entered. Raises MlxhubError, as entering does."""


class Forwarder:
    """A pure ASGI app. Nothing between a worker's chunk and the client's socket waits for more bytes."""

    def __init__(self, leases: Leases, keepalive_seconds: float = KEEPALIVE_SECONDS) -> None:
        self._leases = leases
        self._keepalive_seconds = keepalive_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await whole_body(receive)
            routed = await _routed(scope, body)
            await run_unless_disconnected(receive, self._relay(scope, send, routed, body))
        except ClientDisconnect:
            logger.debug("The client left.")
        except MlxhubError as failure:
            await client_error_response(failure)(scope, receive, send)

    async def _relay(self, scope: Scope, send: Send, routed: _Routed, body: bytes) -> None:
        """Raises MlxhubError only before the first byte went to the client."""
        stream = ClientStream(scope, send, self._keepalive_seconds)
        headers = headers_for_worker(scope["headers"], request_id(scope).encode("ascii"))
        if routed.stream is True and scope["path"] in STREAMED:
            stream.fill_silence()
        try:
            async with self._leases.lease(routed.model, scope["path"], body) as lease:
                response = await lease.ask(scope["method"], _target(scope), headers, body)
                await stream.stop_filling()
                if stream.has_begun and not _is_event_stream(response):
                    await stream.break_off(await _refusal(response, lease.name))
                    return
                await _pass_on(response, send, stream, lease)
        except MlxhubError as failure:
            await stream.stop_filling()
            if not stream.has_begun:
                raise
            await stream.break_off(failure)
        finally:
            await stream.stop_filling()


async def _pass_on(response: Connection, send: Send, stream: ClientStream, lease: Lease) -> None:
    if not stream.has_begun:
        headers = headers_for_client(response.headers)
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
    last = EVENT_END
    try:
        while (chunk := await response.next_chunk()) is not None:
            last = chunk
            await send(body_message(chunk, more=not response.complete))
            if response.complete:
                return
    except ConnectionLost:
        logger.warning('An answer of model "{}" was broken off.', lease.name)
        # To leave an answer unfinished is how HTTP says that it is not whole.
        if _is_event_stream(response):
            silent = WorkerSilent(lease.name, "the connection ended in the middle of the answer.")
            await stream.break_off(lease.ended_by or silent, last)
        return
    await send(body_message(b"", more=False))


def _is_event_stream(response: Connection) -> bool:
    return any(
        name == b"content-type" and value.lower().startswith(b"text/event-stream")
        for name, value in response.headers
    )


async def _refusal(response: Connection, name: str) -> RemoteError:
    """What a worker says instead of the stream that it was asked for."""
    content = b""
    with suppress(ConnectionLost):
        while len(content) < _LONGEST_REFUSAL and (chunk := await response.next_chunk()) is not None:
            content += chunk
    return remote_error(response.status, content, source=f'The worker of model "{name}"')


def _target(scope: Scope) -> bytes:
    path = str(scope["path"]).encode("ascii")
    query: bytes = scope["query_string"]
    return path + b"?" + query if query else path


async def _routed(scope: Scope, body: bytes) -> _Routed:
    """Raises InvalidRequest."""
    if scope["path"] in FORMS:
        form = await read_form(Headers(scope=scope), body)
        if (model := form.first("model")) is None:
            raise InvalidRequest("model: name the model in a field of the form.", "model")
        return _Routed(model, form.says("stream"))
    return _routed_json(body)


def _routed_json(body: bytes) -> _Routed:
    try:
        return _ROUTED.decode(body)
    except msgspec.ValidationError:
        raise InvalidRequest(
            "The body must be a JSON object with the string `model`: the name or alias of a model.",
            param="model",
        ) from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise InvalidRequest("The body is not valid JSON.") from None
