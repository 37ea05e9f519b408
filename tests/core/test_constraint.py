"""What an answer must be like, and the limits of what it may be told to be like."""

from typing import Any

import pytest

from mlxhub.core.constraint import (
    CallableTool,
    Calling,
    DeclaredTool,
    JsonText,
    ToolCalls,
    ToolChoice,
    answer_constraint,
)
from mlxhub.refusals import InvalidRequest

F, G = DeclaredTool("f"), DeclaredTool("g", {"type": "object", "title": "ü"}, is_strict=True)
ANY = '{"type":"object"}'
CALLABLE_F = CallableTool("f", ANY, param="tools[0]")
CALLABLE_G = CallableTool("g", '{"type":"object","title":"ü"}', is_strict=True, param="tools[1]")
SCHEMA = {"type": "integer"}


@pytest.mark.parametrize(
    ("tools", "choice", "schema", "expected"),
    [
        ((), ToolChoice(), None, None),
        ((F, G), ToolChoice(), None, None),
        ((F, G), ToolChoice(at_most_one=True), None, None),
        ((), ToolChoice(), SCHEMA, JsonText('{"type":"integer"}')),
        ((F,), ToolChoice(Calling.NONE), SCHEMA, JsonText('{"type":"integer"}')),
        ((F,), ToolChoice(), SCHEMA, JsonText('{"type":"integer"}', ToolCalls((CALLABLE_F,)))),
        ((F, G), ToolChoice(Calling.REQUIRED), None, ToolCalls((CALLABLE_F, CALLABLE_G))),
        ((F, G), ToolChoice(Calling.REQUIRED), SCHEMA, ToolCalls((CALLABLE_F, CALLABLE_G))),
        ((F, G), ToolChoice(Calling.REQUIRED, frozenset("g"), True), None, ToolCalls((CALLABLE_G,), True)),
        ((F, G), ToolChoice(Calling.AUTO, frozenset("g")), None, None),
    ],
)
def test_what_is_asked_becomes_a_constraint(
    tools: tuple[DeclaredTool, ...], choice: ToolChoice, schema: dict[str, Any] | None, expected: object
) -> None:
    assert answer_constraint(tools, choice, schema) == expected


@pytest.mark.parametrize(
    ("tools", "choice", "words"),
    [
        ((), ToolChoice(Calling.REQUIRED), "allows no tool"),
        ((), ToolChoice(Calling.REQUIRED, frozenset("f")), 'named "f"'),
        ((G,), ToolChoice(Calling.AUTO, frozenset("fg")), 'named "f"'),
    ],
)
def test_a_choice_without_its_tool_is_refused(
    tools: tuple[DeclaredTool, ...], choice: ToolChoice, words: str
) -> None:
    with pytest.raises(InvalidRequest, match=words) as refused:
        answer_constraint(tools, choice)
    assert refused.value.param == "tool_choice"


def test_the_model_hears_of_what_it_may_call() -> None:
    assert [ToolChoice(calling).shows("f") for calling in Calling] == [False, True, True]
    some = frozenset("g")
    assert [ToolChoice(calling, some).shows("f") for calling in Calling] == [False, False, True]


def deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels - 1):
        schema = {"items": schema}
    return schema


def large(size: int) -> dict[str, Any]:
    return {"title": "ü" * ((size - len('{"title":""}')) // 2)}


@pytest.mark.parametrize(
    ("good", "bad"), [(deep(64), deep(65)), (large(256 * 1024), large(256 * 1024 + 2))], ids=["depth", "size"]
)
def test_schemas_have_limits(good: dict[str, Any], bad: dict[str, Any]) -> None:
    answer_constraint((), ToolChoice(), good)
    answer_constraint([DeclaredTool("f", good)], ToolChoice(Calling.REQUIRED))
    with pytest.raises(InvalidRequest) as refused:
        answer_constraint((), ToolChoice(), bad, schema_param="text.format")
    assert refused.value.param == "text.format"
    with pytest.raises(InvalidRequest) as refused:
        answer_constraint([F, DeclaredTool("g", bad)], ToolChoice(Calling.REQUIRED))
    assert refused.value.param == "tools[1]"


def test_schemas_of_tools_have_a_limit_together() -> None:
    halves = [DeclaredTool("f", large(128 * 1024)), DeclaredTool("g", large(128 * 1024))]
    answer_constraint(halves, ToolChoice(Calling.REQUIRED))
    with pytest.raises(InvalidRequest) as refused:
        answer_constraint([*halves, DeclaredTool("h")], ToolChoice(Calling.REQUIRED))
    assert refused.value.param == "tools"


def test_schemas_that_nothing_enforces_have_no_limit() -> None:
    assert answer_constraint([DeclaredTool("f", deep(900))], ToolChoice()) is None
