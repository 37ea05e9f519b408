"""In front of everything in both programs: who asks, may they, and is what they send as it should be?

What is not in the table of routes is refused. Every judgement goes by `scope["path"]`, the headers as they
came, and nothing that a framework made of them.
"""

from collections.abc import Callable
from typing import TypeAlias

from loguru import logger
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from mlxhub.core.access import (
    Body,
    Head,
    Policy,
    Role,
    Route,
    RouteTable,
    check_origin,
    check_page,
    check_role,
    needed_role,
)
from mlxhub.errors import MlxhubError
from mlxhub.refusals import WrongHost
from mlxhub.web.bodies import read_body, require_form, require_json, require_object, with_body
from mlxhub.web.protocol import FROM_OWNER
from mlxhub.web.responses import refusal_response

# What the Authorization headers of a request for this method and target prove.
Authenticate: TypeAlias = Callable[[list[bytes], str, str], Role]


class Guard:
    """Raises nothing: what it refuses it answers itself."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        table: RouteTable,
        policy: Callable[[], Policy],
        authenticate: Authenticate,
    ) -> None:
        """`policy` is asked each time: a reload may change it."""
        self._app = app
        self._table = table
        self._policy = policy
        self._authenticate = authenticate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        try:
            route, content_types = self._admit(scope)
            if route.body is not Body.NONE:
                receive = with_body(await _checked_body(scope, receive, route, content_types), receive)
        except ClientDisconnect:
            logger.debug("The client left before its body was whole.")
        except WrongHost as refusal:
            # Whoever had it sent may read the answer, so there is nothing in it.
            logger.info("{}", refusal)
            await _unread(scope, Response(status_code=421))(scope, receive, send)
        except MlxhubError as refusal:
            await _unread(scope, refusal_response(refusal))(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _admit(self, scope: Scope) -> tuple[Route, list[str]]:
        """The route, and what it says of its body's type. Raises what keeps it out."""
        head, authorizations, content_types = _read_head(scope)
        policy = self._policy()
        from_owner = scope.get(FROM_OWNER, False)
        if not from_owner:
            check_origin(head, policy.names)
        try:
            route = self._table.find(scope["method"], scope["path"])
        except MlxhubError:
            check_page(head, is_page=False)
            raise
        check_page(head, is_page=route.is_page)
        needed = needed_role(route.need, keys_required=policy.keys_required)
        if needed is not Role.NOBODY and not from_owner:
            check_role(self._role(scope, authorizations), needed)
        return route, content_types

    def _role(self, scope: Scope, authorizations: list[bytes]) -> Role:
        query: bytes = scope["query_string"]
        target = scope["path"] + ("?" + query.decode("latin-1") if query else "")
        return self._authenticate(authorizations, scope["method"], target)


def _unread(scope: Scope, response: Response) -> Response:
    """A refusal does not wait for the body, so nothing can follow it on its connection."""
    headers = Headers(scope=scope)
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        response.headers["connection"] = "close"
    return response


async def _checked_body(scope: Scope, receive: Receive, route: Route, content_types: list[str]) -> bytes:
    if route.body is Body.FORM:
        require_form(content_types)
    else:
        require_json(content_types)
    body = await read_body(scope, receive, route.max_body_bytes)
    if route.body is Body.OBJECT:
        require_object(body)
    return body


def _read_head(scope: Scope) -> tuple[Head, list[bytes], list[str]]:
    """One pass: this is on the way of every request."""
    head = Head([], [])
    authorizations: list[bytes] = []
    content_types: list[str] = []
    for name, value in scope["headers"]:
        match name:
            case b"host":
                head.hosts.append(value.decode("latin-1"))
            case b"origin":
                head.origins.append(value.decode("latin-1"))
            case b"authorization":
                authorizations.append(value)
            case b"content-type":
                content_types.append(value.decode("latin-1"))
            case b"sec-fetch-site":
                head.site = value.decode("latin-1") if head.site is None else "twice"
            case b"sec-fetch-mode":
                head.mode = value.decode("latin-1")
            case b"sec-fetch-dest":
                head.destination = value.decode("latin-1")
    return head, authorizations, content_types
