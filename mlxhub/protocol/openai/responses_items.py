"""The items of a response as they are kept, and as they come before those of the next request."""

from collections.abc import Sequence

import msgspec
from pydantic import TypeAdapter

from mlxhub.protocol.openai.responses import InputItem, MessageItem

_ITEMS: TypeAdapter[Sequence[InputItem]] = TypeAdapter(list[InputItem])


class _Response(msgspec.Struct):
    output: msgspec.Raw


def input_items(sent: str | Sequence[InputItem]) -> Sequence[InputItem]:
    return [MessageItem(role="user", content=sent)] if isinstance(sent, str) else sent


def written_items(items: Sequence[InputItem]) -> bytes:
    """JSON."""
    return _ITEMS.dump_json(items, exclude_none=True)


def read_items(written: bytes, response: bytes) -> Sequence[InputItem]:
    """Of a response that was kept: its input, as of `written_items`, and its output."""
    output = msgspec.json.decode(response, type=_Response).output
    return [*_ITEMS.validate_json(written), *_ITEMS.validate_json(bytes(output))]
