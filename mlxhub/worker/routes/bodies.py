"""JSON bodies, checked."""

import asyncio
from typing import TypeVar

from pydantic import BaseModel
from starlette.requests import Request

from mlxhub.web.bodies import whole_body

_SMALL_BYTES = 200_000

M = TypeVar("M", bound=BaseModel)


async def read_model(request: Request, kind: type[M]) -> M:
    """Raises ValidationError. Large bodies are parsed beside the event loop."""
    body = await whole_body(request.receive)
    if len(body) <= _SMALL_BYTES:
        return kind.model_validate_json(body)
    return await asyncio.to_thread(kind.model_validate_json, body)
