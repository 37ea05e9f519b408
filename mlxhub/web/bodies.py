"""Request bodies of both programs: read once, by the guard, within a limit."""

import json

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope

from mlxhub.refusals import InvalidRequest, NotForm, NotJson, RequestTooLarge


def require_json(content_types: list[str]) -> None:
    """A page of another site can post forms and text without being asked first, but not this type.

    Raises NotJson.
    """
    if len(content_types) != 1 or content_types[0].partition(";")[0].strip().lower() != "application/json":
        raise NotJson


def require_form(content_types: list[str]) -> None:
    """Raises NotForm."""
    if len(content_types) != 1 or content_types[0].partition(";")[0].strip().lower() != "multipart/form-data":
        raise NotForm


def require_object(body: bytes) -> None:
    """For what takes no more than that: a body that is meant. Raises InvalidRequest."""
    try:
        sent = json.loads(body.decode())
    except (ValueError, RecursionError):
        raise InvalidRequest("The body is not valid JSON. An empty object, {}, will do.") from None
    if not isinstance(sent, dict):
        raise InvalidRequest("The body must be a JSON object. An empty one, {}, will do.")


async def read_body(scope: Scope, receive: Receive, limit_bytes: int) -> bytes:
    """Raises RequestTooLarge as soon as it is known, and ClientDisconnect."""
    declared = Headers(scope=scope).get("content-length", "")
    # Nine digits are more than any limit, and int() takes long over very many.
    if declared.isdecimal() and int(declared[:9]) > limit_bytes:
        raise RequestTooLarge(limit_bytes)
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit_bytes:
            raise RequestTooLarge(limit_bytes)
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def with_body(body: bytes, receive: Receive) -> Receive:
    """As if the whole body had come at once; after it, what `receive` itself says."""
    given = False

    async def receive_body() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_body


async def whole_body(receive: Receive) -> bytes:
    """Of a request that has passed the guard."""
    body: bytes = (await receive())["body"]
    return body
