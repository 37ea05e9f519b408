"""`/v1` requests on their way to a worker and back: bytes untouched, hang-ups passed on at once."""

import msgspec
from loguru import logger
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from mlxhub.clients.connection import Connection, ConnectionLost
from mlxhub.clients.headers import headers_for_client, headers_for_worker
from mlxhub.clients.remote_error import RemoteError
from mlxhub.controller.dispatcher import Dispatcher
from mlxhub.controller.remote_answers import remote_error_response
from mlxhub.errors import MlxhubError, WorkerSilent
from mlxhub.protocol.dialects import broken_off
from mlxhub.refusals import InvalidRequest
from mlxhub.web.bodies import whole_body
from mlxhub.web.request_id import request_id
from mlxhub.web.responses import client_error_response
from mlxhub.web.streams import run_unless_disconnected

_EVENT_END = b"\n\n"


class _Routed(msgspec.Struct):
    """All that is read of a body; msgspec checks the rest to be JSON without keeping it."""

    model: str


_ROUTED = msgspec.json.Decoder(_Routed)


class Forwarder:
    """A pure ASGI app. Nothing between a worker's chunk and the client's socket waits for more bytes."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await whole_body(receive)
            model_id = _model_of(body)
            await run_unless_disconnected(receive, self._relay(scope, send, model_id, body))
        except ClientDisconnect:
            logger.debug("The client left.")
        except RemoteError as failure:
            await remote_error_response(failure)(scope, receive, send)
        except MlxhubError as failure:
            await client_error_response(failure)(scope, receive, send)

    async def _relay(self, scope: Scope, send: Send, model_id: str, body: bytes) -> None:
        """Raises MlxhubError only before the first byte went to the client."""
        headers = headers_for_worker(scope["headers"], request_id(scope).encode("ascii"))
        async with self._dispatcher.lease(model_id) as lease:
            response = await lease.ask(scope["method"], _target(scope), headers, body)
            is_event_stream = await _send_head(response, send)
            last = _EVENT_END
            try:
                while (chunk := await response.next_chunk()) is not None:
                    last = chunk
                    await send(_body_message(chunk, more=not response.complete))
                    if response.complete:
                        return
            except ConnectionLost:
                logger.warning('The worker of model "{}" broke off an answer.', lease.name)
                if not is_event_stream:
                    # To leave an answer unfinished is how HTTP says that it is not whole.
                    return
                silent = WorkerSilent(lease.name, "the connection ended in the middle of the answer.")
                error = broken_off(scope["path"], silent, request_id(scope), last)
                begin = b"" if last.endswith(_EVENT_END) else _EVENT_END
                await send(_body_message(begin + error, more=False))
                return
            await send(_body_message(b"", more=False))


async def _send_head(response: Connection, send: Send) -> bool:
    """Whether what follows is an event stream."""
    headers = headers_for_client(response.headers)
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    return any(
        name == b"content-type" and value.lower().startswith(b"text/event-stream") for name, value in headers
    )


def _body_message(body: bytes, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}


def _target(scope: Scope) -> bytes:
    path = str(scope["path"]).encode("ascii")
    query: bytes = scope["query_string"]
    return path + b"?" + query if query else path


def _model_of(body: bytes) -> str:
    try:
        return _ROUTED.decode(body).model
    except msgspec.ValidationError:
        raise InvalidRequest(
            "The body must be a JSON object with the string `model`: the name or alias of a model.",
            param="model",
        ) from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise InvalidRequest("The body is not valid JSON.") from None
