"""JSON bodies, checked."""

import asyncio
from typing import TypeVar

from pydantic import BaseModel
from starlette.requests import Request

from mlxhub.web.bodies import read_body, require_json

_SMALL_BYTES = 200_000

M = TypeVar("M", bound=BaseModel)


async def read_model(request: Request, kind: type[M]) -> M:
    """Raises ValidationError, NotJson or RequestTooLarge. Large bodies are parsed beside the event loop."""
    body = await read_json(request)
    if len(body) <= _SMALL_BYTES:
        return kind.model_validate_json(body)
    return await asyncio.to_thread(kind.model_validate_json, body)


async def read_json(request: Request) -> bytes:
    require_json(request.headers.get("content-type", ""))
    return await read_body(request.scope, request.receive)
