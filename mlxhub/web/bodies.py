"""Request bodies of both programs: bounded, and JSON where something is changed."""

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from mlxhub.errors import NotJson, RequestTooLarge

MAX_BODY_BYTES = 32_000_000


def require_json(content_type: str) -> None:
    """A page of another site can post forms and text without being asked first, but not this type.

    Raises NotJson.
    """
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise NotJson


async def read_body(scope: Scope, receive: Receive) -> bytes:
    """Raises RequestTooLarge as soon as it is known, and ClientDisconnect."""
    declared = Headers(scope=scope).get("content-length", "")
    # Nine digits are more than the limit, and int() takes long over very many.
    if declared.isdecimal() and int(declared[:9]) > MAX_BODY_BYTES:
        raise RequestTooLarge(MAX_BODY_BYTES)
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BODY_BYTES:
            raise RequestTooLarge(MAX_BODY_BYTES)
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)
