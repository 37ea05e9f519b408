"""The text of grammars: marks that are tokens, thinking, and every syntax of calls."""

import json
from typing import Any

import pytest

from mlxhub.core.constraint import CallableTool, JsonText, ToolCalls
from mlxhub.refusals import InvalidRequest
from mlxhub.worker.engines.grammar import (
    IN_TAGS,
    MISTRAL_HEADERS,
    MISTRAL_LIST,
    Marks,
    Thinking,
    answer_grammar,
)

OBJECT = '{"type":"object"}'
THINKS = Marks("<think>", "</think>", specials={"<think>": 5, "</think>": 6})
SPELT = Marks("<think>", "</think>")
F, G = CallableTool("f", OBJECT, param="tools[0]"), CallableTool('g"ü', OBJECT, is_strict=True)
TAGS = {"<tool_call>": 7, "</tool_call>": 8}


def rules(constraint: Any, marks: Marks, thinking: Thinking = Thinking.NONE) -> dict[str, str]:
    made = json.loads(answer_grammar(constraint, marks, thinking).text)
    lark: str = made["grammars"][0]["lark_grammar"]
    assert lark.startswith('%llguidance {"no_forcing": true}\n')
    return dict(line.split(": ", 1) for line in lark.splitlines()[1:])


@pytest.mark.parametrize(
    ("marks", "thinking", "expected"),
    [
        (Marks(), Thinking.POSSIBLE, {"start": "answer"}),
        (THINKS, Thinking.NONE, {"start": "answer"}),
        (THINKS, Thinking.OPEN, {"start": "thought GAP? answer", "thought": "/(?s:.*)/ <[6]>"}),
        (THINKS, Thinking.POSSIBLE, {"start": "answer | <[5]> thought GAP? answer"}),
        (SPELT, Thinking.OPEN, {"start": "thought GAP? answer", "thought[lazy]": r"/(?s:.*)<\/think>/"}),
        (SPELT, Thinking.POSSIBLE, {"start": 'answer | "<think>" thought GAP? answer'}),
    ],
)
def test_reasoning_is_free_until_its_end(marks: Marks, thinking: Thinking, expected: dict[str, str]) -> None:
    made = rules(JsonText(OBJECT), marks, thinking)
    assert made["answer"] == "@json"
    assert expected.items() <= made.items()


@pytest.mark.parametrize(
    ("syntax", "specials", "answer", "call"),
    [
        (
            IN_TAGS,
            TAGS,
            '(call_0) ("\\n" (call_0))*',
            '<[7]> "\\n{\\"name\\": \\"f\\", \\"arguments\\": " @arguments_0 "}\\n" <[8]>',
        ),
        (
            IN_TAGS,
            {},
            '(call_0) ("\\n" (call_0))*',
            '"<tool_call>\\n{\\"name\\": \\"f\\", \\"arguments\\": " @arguments_0 "}\\n</tool_call>"',
        ),
        (
            MISTRAL_HEADERS,
            {"[TOOL_CALLS]": 9, "[ARGS]": 10},
            "(call_0) ((call_0))*",
            '<[9]> "f" <[10]> @arguments_0',
        ),
        (
            MISTRAL_LIST,
            {"[TOOL_CALLS]": 9},
            '<[9]> "[" (call_0) (", " (call_0))* "]"',
            '"{\\"name\\": \\"f\\", \\"arguments\\": " @arguments_0 "}"',
        ),
    ],
)
def test_calls_are_written_as_the_model_writes_them(
    syntax: Any, specials: dict[str, int], answer: str, call: str
) -> None:
    made = rules(ToolCalls((F,)), Marks(calls=syntax, specials=specials))
    assert made["answer"] == answer
    assert made["call_0"] == call


def test_one_call_at_most() -> None:
    made = rules(ToolCalls((F, G), at_most_one=True), Marks(calls=IN_TAGS, specials=TAGS))
    assert made["answer"] == "(call_0 | call_1)"
    assert r"\"name\": \"g\\\"ü\"" in made["call_1"]


def test_calls_in_place_of_json() -> None:
    wanted = JsonText(OBJECT, ToolCalls((F,), at_most_one=True))
    assert rules(wanted, Marks(calls=IN_TAGS, specials=TAGS))["answer"] == "@json | (call_0)"
    other = Marks(tool_start="<tool_call>", specials=TAGS, end_tokens=(1, 2))
    assert rules(wanted, other)["answer"] == "@json | <[7]> <[^1,2]>*"
    assert rules(wanted, Marks())["answer"] == "@json"


def test_what_cannot_be_enforced_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="not JSON") as refused:
        answer_grammar(ToolCalls((F,)), Marks(tool_start="<tool_call>"), Thinking.NONE)
    assert refused.value.param == "tool_choice"
    odd = CallableTool("a name", OBJECT, param="tools[3]")
    with pytest.raises(InvalidRequest, match="a name") as refused:
        answer_grammar(ToolCalls((odd,)), Marks(calls=MISTRAL_HEADERS), Thinking.NONE)
    assert refused.value.param == "tools[3]"


def test_a_clients_options_for_the_compiler_count_for_nothing() -> None:
    schema = '{"x-guidance":{"lenient":true,"whitespace_pattern":".*"}}'
    (made,) = answer_grammar(JsonText(schema), Marks(), Thinking.NONE).schemas
    assert made.content["x-guidance"] == {"whitespace_pattern": r" |\n[ \t]{0,32}", "lenient": False}
    loose, strict = answer_grammar(ToolCalls((F, G)), Marks(calls=IN_TAGS), Thinking.NONE).schemas
    assert (loose.content["x-guidance"]["lenient"], strict.content["x-guidance"]["lenient"]) == (True, False)
    assert (loose.param, strict.param) == ("tools[0]", "tools")
