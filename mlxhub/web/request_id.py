"""X-Request-ID: taken from the client where it is sane, else made here, and told back in every answer."""

import os
import re

from loguru import logger
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlxhub.protocol.dialects import request_id_headers

HEADER = b"x-request-id"
_SANE = re.compile(rb"[!-~]{1,128}")
_SCOPE_KEY = "mlxhub.request_id"
_ID_BYTES = 16


def request_id(scope: Scope) -> str:
    """The id of the request this scope is of; only behind the middleware."""
    found = scope[_SCOPE_KEY]
    assert isinstance(found, str)
    return found


def request_id_if_any(scope: Scope) -> str | None:
    """For what may also stand outside."""
    return request_id(scope) if _SCOPE_KEY in scope else None


class RequestIdMiddleware:
    """Log lines of a request carry `extra["request_id"]`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # By hand: this is on the way of every request.
        given = next((value for name, value in scope["headers"] if name == HEADER), b"")
        identity = given.decode() if _SANE.fullmatch(given) else f"req_{os.urandom(_ID_BYTES).hex()}"
        scope[_SCOPE_KEY] = identity

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                told = ((name.encode(), identity.encode()) for name in request_id_headers(scope["path"]))
                message["headers"] = [*message["headers"], *told]
            await send(message)

        with logger.contextualize(request_id=identity):
            await self._app(scope, receive, send_with_id)
