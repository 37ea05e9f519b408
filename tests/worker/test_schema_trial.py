"""What is found out of a schema before it is compiled for a model."""

import re
from typing import Any

import pytest

from mlxhub.worker.engines.schema_check import is_costly
from mlxhub.worker.engines.schema_trial import fault_of


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object", "properties": {"größe": {"type": "integer"}}, "required": ["größe"]},
        {"enum": ["日本"]},
        {"enum": ["🦊🎉", None]},
        {"type": "string", "pattern": "^[ж-я]+$"},
        {"type": "array", "items": {"type": "number"}, "minItems": 2},
        {
            "$defs": {"n": {"anyOf": [{"type": "null"}, {"items": {"$ref": "#/$defs/n"}}]}},
            "$ref": "#/$defs/n",
        },
        {"const": ""},
        {"type": "object", "additionalProperties": False},
    ],
)
def test_what_a_value_can_satisfy_has_no_fault(schema: dict[str, Any]) -> None:
    assert fault_of(schema) is None


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"$ref": "#"}, "no value satisfies it"),
        ({"$ref": "https://example.com/x"}, "another document"),
        ({"type": "array", "uniqueItems": True}, "uniqueItems"),
        ({"type": "object", "properties": {f"p{n}": {} for n in range(1000)}}, "Too many|max is"),
    ],
)
def test_a_fault_is_told(schema: dict[str, Any], words: str) -> None:
    assert re.search(words, fault_of(schema) or "")


@pytest.mark.parametrize(
    ("schema", "costly"),
    [
        ({"properties": {f"p{n}": {"type": "string"} for n in range(700)}}, False),
        ({"properties": {f"p{n}": {"type": "string"} for n in range(800)}}, True),
        ({"items": {"anyOf": [{"type": "string"}, {"multipleOf": 7}]}}, True),
        ({"items": [{"allOf": []}]}, True),
    ],
)
def test_what_might_take_long_is_known_before(schema: dict[str, Any], costly: bool) -> None:
    assert is_costly(schema) is costly
