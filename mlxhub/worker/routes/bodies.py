"""JSON bodies, checked."""

import asyncio
import json
import re
from typing import TypeVar

from pydantic import BaseModel
from starlette.requests import Request

from mlxhub.refusals import InvalidRequest
from mlxhub.web.bodies import whole_body

_SMALL_BYTES = 50_000
_MOST_KEYS = 10_000
# A brace, or where a text begins; of a short one without escapes all of it, and whether it is a key.
_TOKEN = re.compile(r'[{}]|"(?:([^"\\]{0,200}+)"(\s*+:)?)?')
_COLON = re.compile(r"\s*:")
_TEXTS = json.JSONDecoder()

M = TypeVar("M", bound=BaseModel)


async def read_model(request: Request, kind: type[M]) -> M:
    """Raises ValidationError and InvalidRequest. Large bodies are parsed beside the event loop."""
    body = await whole_body(request.receive)
    if len(body) <= _SMALL_BYTES:
        return parse_model(body, kind)
    return await asyncio.to_thread(parse_model, body, kind)


def parse_model(body: bytes, kind: type[M]) -> M:
    """Raises ValidationError and InvalidRequest."""
    model = kind.model_validate_json(body)
    _require_single_keys(body.decode())
    return model


def _require_single_keys(text: str) -> None:
    """Of one key that comes twice, who looks before us may have read the other.

    `text` is JSON. Python's own parser with a hook for objects is faster on usual bodies, but keeps every
    other thread waiting for seconds, and takes ten times a body's size, where an object has millions of keys.
    Raises InvalidRequest.
    """
    outer: list[set[str]] = []
    keys: set[str] = set()
    end = 0
    while token := _TOKEN.search(text, end):
        end = token.end()
        match text[token.start()]:
            case "{":
                outer.append(keys)
                keys = set()
            case "}":
                keys = outer.pop()
            case _:
                key, colon = token.groups()
                if key is None:
                    key, end = _TEXTS.raw_decode(text, token.start())
                    colon = _COLON.match(text, end)
                if colon:
                    if key in keys or len(keys) >= _MOST_KEYS:
                        raise InvalidRequest(_refusal(key in keys))
                    keys.add(key)


def _refusal(is_twice: bool) -> str:
    if is_twice:
        return "The body is ambiguous: one of its objects has a key twice."
    return f"An object in the body has more than {_MOST_KEYS} keys."
