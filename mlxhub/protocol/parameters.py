"""Parameters of the APIs spoken here that nothing here heeds: ignored, and said to be, or refused.

A request's model has a field for every parameter its API documents. One without a mark is heeded.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

# `Warning: 299` would be HTTP's own, but it is obsolete (RFC 9111, 5.5) and few clients show it. The
# controller hands on what begins with X-.
IGNORED_HEADER = "x-mlxhub-ignored"

_Plain: TypeAlias = str | bool


@dataclass(frozen=True, slots=True)
class Ignored:
    """The field changes nothing here, unless it has one of these values or lists nothing else.

    They ask for what is done in any case, or are heeded.
    """

    unless: tuple[_Plain, ...] = ()

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        heeded = f" but for {', '.join(str(each).lower() for each in self.unless)}" if self.unless else ""
        return {**handler(schema), "description": f"Ignored{heeded}."}


@dataclass(frozen=True, slots=True)
class Refused:
    """The field would change what is answered, and cannot here; `unless` as of Ignored.

    `reason` is what the client reads.
    """

    reason: str
    unless: tuple[_Plain, ...] = ()

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        del schema, handler  # of a field that takes anything
        items = {"items": {"enum": [*self.unless]}} if self.unless else {"maxItems": 0}
        return {"anyOf": [{"enum": [None, *self.unless]}, {"type": "array", **items}]}

    def _checked(self, value: object) -> object:
        if _asks_for_more(value, self.unless):
            raise ValueError(self.reason)
        return value


def _is_file(value: object) -> object:
    if not isinstance(value, bytes):
        raise ValueError("it must be a file")  # noqa: TRY004 - pydantic reports no TypeError
    return value


# What a form has under a name, with a name of its own.
SentFile = Annotated[bytes, BeforeValidator(_is_file)]


class FormFields(BaseModel):
    """What a form may have; all that is no file is text. Unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False, protected_namespaces=(), defer_build=True)


def ignored_header(sent: BaseModel, *more: str) -> dict[str, str]:
    """The header that names what was ignored of a request, and `more`; none where nothing was.

    Only names that this code knows: nothing of what a client sends gets into a header.
    """
    names = [*ignored_parameters(sent), *more]
    return {IGNORED_HEADER: ", ".join(names)} if names else {}


def ignored_parameters(sent: BaseModel) -> Iterator[str]:
    """Those of options within a parameter as `reasoning.summary`."""
    for name, field in type(sent).model_fields.items():
        value = sent.__dict__[name]
        if isinstance(value, BaseModel):
            yield from (f"{name}.{inner}" for inner in ignored_parameters(value))
        elif any(isinstance(mark, Ignored) and _asks_for_more(value, mark.unless) for mark in field.metadata):
            yield name


def _asks_for_more(value: object, known: tuple[_Plain, ...]) -> bool:
    """A null asks for nothing, as an empty list does."""
    values = value if isinstance(value, list) else [value]
    # False is 0 to Python, and not to the documents that say what is taken.
    return any(
        each is not None and not any(type(each) is type(one) and each == one for one in known)
        for each in values
    )
