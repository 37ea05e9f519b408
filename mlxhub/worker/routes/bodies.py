"""JSON bodies, checked."""

import asyncio
import contextlib
import json
import re
from typing import TypeVar, get_origin

from pydantic import BaseModel
from starlette.requests import Request

from mlxhub.refusals import InvalidRequest
from mlxhub.web.bodies import whole_body
from mlxhub.web.forms import read_form

_SMALL_BYTES = 50_000
# A parsed body may take fifty times its size. A thousand tools have fewer parts, no context holds as many
# numbers, and the model's own parser takes fewer levels.
_MOST_PARTS = 200_000
_MOST_VALUES = 2_000_000
_MOST_KEYS = 10_000
_MOST_LEVELS = 1000
# A bracket, or where a text begins; of a short one without escapes all of it, and whether it is a key.
_TOKEN = re.compile(r'[{}\[]|"(?:([^"\\]{0,200}+)"(\s*+:)?)?')
_COLON = re.compile(r"\s*:")
_TEXTS = json.JSONDecoder()

M = TypeVar("M", bound=BaseModel)


async def read_model(request: Request, kind: type[M]) -> M:
    """Raises ValidationError and InvalidRequest. Large bodies are parsed beside the event loop."""
    body = await whole_body(request.receive)
    if len(body) <= _SMALL_BYTES:
        return parse_model(body, kind)
    return await asyncio.to_thread(parse_model, body, kind)


async def read_form_model(request: Request, kind: type[M]) -> M:
    """Raises ValidationError and InvalidRequest."""
    form = await read_form(request.headers, await whole_body(request.receive))
    sent: dict[str, object] = {}
    for name, values in form.fields.items():
        field = kind.model_fields.get(name)
        is_list = field is not None and get_origin(field.annotation) is list
        sent[name] = [*values] if is_list else values[0]
    for name, files in form.files.items():
        if name in kind.model_fields and len(files) > 1:
            raise InvalidRequest(f"{name}: send one file, not {len(files)}.", name)
        sent[name] = files[0]
    return kind.model_validate(sent)


def parse_model(body: bytes, kind: type[M]) -> M:
    """Raises ValidationError and InvalidRequest."""
    # What is no JSON, the model's parser says.
    with contextlib.suppress(ValueError, IndexError):
        if fault := _fault_of(body.decode()):
            reason, key = fault
            param = key if key in kind.model_fields else None
            raise InvalidRequest(f"{param or 'The body'}: {reason}.", param)
    return kind.model_validate_json(body)


def _fault_of(text: str) -> tuple[str, str | None] | None:
    """What is wrong, and the key of the whole body under which it is: a key that comes twice, or very much.

    Of two values, who looked before us may have read the other. Python's own parser with a hook for objects
    is faster on usual bodies, but where one has millions of keys it keeps every other thread waiting for
    seconds, and takes ten times a body's size. Raises ValueError and IndexError for some of what is no JSON.
    """
    # Those within texts too: of so many, no context holds the text either.
    if text.count(",") > _MOST_VALUES:
        return f"more than {_MOST_VALUES} values", None
    outer: list[set[str]] = []
    keys: set[str] = set()
    field: str | None = None
    parts = end = 0
    while token := _TOKEN.search(text, end):
        end = token.end()
        parts += 1
        match text[token.start()]:
            case "{":
                outer.append(keys)
                keys = set()
            case "}":
                keys = outer.pop()
            case '"':
                key, colon = token.groups()
                if key is None:
                    key, end = _TEXTS.raw_decode(text, token.start())
                    colon = _COLON.match(text, end)
                if colon:
                    field = key if len(outer) == 1 else field
                    if key in keys:
                        return "an object has a key twice", field
                    keys.add(key)
        if fault := _excess(parts, len(outer), len(keys)):
            return fault, field
    return None


def _excess(parts: int, levels: int, keys: int) -> str | None:
    if levels > _MOST_LEVELS:
        raise ValueError
    if parts > _MOST_PARTS:
        return f"more than {_MOST_PARTS} objects, lists and texts"
    return f"an object has more than {_MOST_KEYS} keys" if keys > _MOST_KEYS else None
