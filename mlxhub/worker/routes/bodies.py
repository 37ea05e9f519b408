"""JSON bodies, checked."""

import asyncio
import contextlib
import json
import re
from typing import TypeVar

from pydantic import BaseModel
from starlette.requests import Request

from mlxhub.refusals import InvalidRequest
from mlxhub.web.bodies import whole_body

_SMALL_BYTES = 50_000
_MOST_KEYS = 10_000
# More than the parser takes.
_MOST_LEVELS = 1000
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
    # What is no JSON, the model's parser says.
    with contextlib.suppress(ValueError, IndexError):
        _check_keys(body.decode())
    return kind.model_validate_json(body)


def _check_keys(text: str) -> None:
    """That no object has a key twice: who looked before us may have read the other value.

    And not very many of them: of every wrong one there would be an error to tell. Python's own parser with a
    hook for objects is faster on usual bodies, but where an object has millions of keys it keeps every other
    thread waiting for seconds, and takes ten times a body's size. Raises InvalidRequest; ValueError and
    IndexError for what is no JSON, though not for all of it.
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
                    _add(key, keys)
        if len(outer) > _MOST_LEVELS:
            raise ValueError


def _add(key: str, keys: set[str]) -> None:
    if key in keys:
        raise InvalidRequest("The body is ambiguous: one of its objects has a key twice.")
    if len(keys) >= _MOST_KEYS:
        raise InvalidRequest(f"An object in the body has more than {_MOST_KEYS} keys.")
    keys.add(key)
