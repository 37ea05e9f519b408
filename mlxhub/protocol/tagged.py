"""Unions of JSON objects that are told apart by one of their fields."""

from collections.abc import Mapping
from typing import Any

from pydantic import Discriminator

UNSUPPORTED = "unsupported_kind"
# Of a text, tagged LONE_TEXT, and a list, tagged LISTED: what is wrong within a list is told of the list.
LONE_TEXT, LISTED = "<text>", "<list>"
TEXT_OR_LIST = Discriminator(lambda value: LISTED if isinstance(value, list) else LONE_TEXT)


def told_apart_by(field: str, message: str, *, default: str | None = None) -> Discriminator:
    """Of members that are tagged `tag(value of field)`. `default`: where the field is missing.

    `message` is what a client reads who sent another kind.
    """

    def kind_of(value: Any) -> str | None:
        # A model where it is written out again.
        kind = value.get(field) if isinstance(value, Mapping) else getattr(value, field, None)
        kind = default if kind is None else kind
        return tag(kind) if isinstance(kind, str) else None

    return Discriminator(kind_of, custom_error_type=UNSUPPORTED, custom_error_message=message)


def tag(kind: str) -> str:
    """No identifier, so that it is left out where a faulty parameter is named by its path."""
    return f"<{kind}>"
