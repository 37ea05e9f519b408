"""Request bodies: JSON only, bounded, checked."""

import asyncio
from typing import TypeVar

from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request

MAX_BODY_BYTES = 32_000_000
_SMALL_BYTES = 200_000

M = TypeVar("M", bound=BaseModel)


async def read_model(request: Request, kind: type[M]) -> M:
    """Raises ValidationError, or HTTPException 413 or 415. Large bodies are parsed beside the event loop."""
    body = await read_body(request)
    if len(body) <= _SMALL_BYTES:
        return kind.model_validate_json(body)
    return await asyncio.to_thread(kind.model_validate_json, body)


async def read_body(request: Request) -> bytes:
    require_json(request)
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise HTTPException(413, f"The body is larger than {MAX_BODY_BYTES // 1_000_000} MB.")
        parts.append(part)
    return b"".join(parts)


def require_json(request: Request) -> None:
    """A web page cannot send this type to another origin without asking first."""
    declared = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if declared != "application/json":
        raise HTTPException(415, "Send the request with Content-Type: application/json.")
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length[:18]) > MAX_BODY_BYTES:
        raise HTTPException(413, f"The body is larger than {MAX_BODY_BYTES // 1_000_000} MB.")
