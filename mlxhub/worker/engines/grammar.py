"""The grammar of a constrained answer, as text that llguidance compiles. Knows no library."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from mlxhub.core.constraint import CallableTool, Constraint, JsonText, ToolCalls
from mlxhub.refusals import InvalidRequest

# A space, or a line break with indentation: as JSON is printed. Without bounds a model may go on for ever.
_WHITE_SPACE = r" |\n[ \t]{0,32}"


class Thinking(Enum):
    """Whether the answer begins inside a thinking span, may open one, or must do without."""

    OPEN = auto()
    POSSIBLE = auto()
    NONE = auto()


@dataclass(frozen=True, slots=True)
class CallSyntax:
    """How a model writes tool calls: what stands around all of them, and around each name and arguments."""

    before_name: str
    before_arguments: str
    after_arguments: str
    between: str = ""
    before_all: str = ""
    after_all: str = ""
    names: str = r"(?s:.+)"

    def written(self, name: str) -> str | None:
        """None: a tool of this name cannot be called in this syntax."""
        return json.dumps(name, ensure_ascii=False)[1:-1] if re.fullmatch(self.names, name) else None


IN_TAGS = CallSyntax('<tool_call>\n{"name": "', '", "arguments": ', "}\n</tool_call>", between="\n")
MISTRAL_LIST = CallSyntax(
    '{"name": "', '", "arguments": ', "}", between=", ", before_all="[TOOL_CALLS][", after_all="]"
)
MISTRAL_HEADERS = CallSyntax("[TOOL_CALLS]", "[ARGS]", "", names=r"[\w-]+")


@dataclass(frozen=True, slots=True)
class Marks:
    """What a model's text is marked with. `specials`: the tokens that stand for marks, by their text.

    `calls` None: tool calls are not JSON, or there are none.
    """

    think_start: str | None = None
    think_end: str | None = None
    tool_start: str | None = None
    calls: CallSyntax | None = None
    specials: Mapping[str, int] = field(default_factory=dict)
    end_tokens: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Schema:
    """As llguidance takes it. `param`: what the client called it."""

    content: Any
    param: str


@dataclass(frozen=True, slots=True)
class AnswerGrammar:
    """`text`: for llguidance, `schemas` included."""

    text: str
    schemas: tuple[Schema, ...]


def answer_grammar(constraint: Constraint, marks: Marks, thinking: Thinking) -> AnswerGrammar:
    """Raises InvalidRequest for calls that cannot be enforced on this model."""
    grammar = _Grammar(marks)
    match constraint:
        case ToolCalls():
            if marks.calls is None:
                raise InvalidRequest(
                    "tool_choice: this model's tool calls are not JSON and cannot be enforced. Use auto.",
                    "tool_choice",
                )
            answer = grammar.calls(constraint, marks.calls)
        case JsonText(schema, calls, param):
            answer = grammar.json("json", schema, param)
            if calls is not None and marks.calls is not None:
                answer += " | " + grammar.calls(calls, marks.calls)
            elif calls is not None and marks.tool_start is not None:
                answer += f" | {grammar.spelled(marks.tool_start)} {grammar.anything()}"
    return grammar.made(grammar.start(thinking), answer)


class _Grammar:
    """Rules in llguidance's lark, and the schemas that they refer to."""

    def __init__(self, marks: Marks) -> None:
        self._marks = marks
        self._rules: list[str] = []
        self._schemas: dict[str, Schema] = {}
        specials = sorted(marks.specials, key=len, reverse=True)
        self._special = re.compile(f"({'|'.join(map(re.escape, specials))})") if specials else None

    def made(self, start: str, answer: str) -> AnswerGrammar:
        # Unforced: a long constant would be followed to its end in one step.
        options = '%llguidance {"no_forcing": true}'
        lark = "\n".join([options, f"start: {start}", f"answer: {answer}", *self._rules])
        named = [{"name": name, "json_schema": each.content} for name, each in self._schemas.items()]
        text = json.dumps({"grammars": [{"lark_grammar": lark}, *named]}, ensure_ascii=False)
        return AnswerGrammar(text, tuple(self._schemas.values()))

    def spelled(self, text: str) -> str:
        """A text in the model's tokens: what has a token of its own comes as nothing else."""
        parts = [text] if self._special is None else self._special.split(text)
        return " ".join(
            f"<[{self._marks.specials[part]}]>" if part in self._marks.specials else _literal(part)
            for part in parts
            if part
        )

    def anything(self) -> str:
        """Any tokens, until the answer ends."""
        ends = ",".join(str(token) for token in self._marks.end_tokens)
        return f"<[^{ends}]>*" if ends else "<[*]>*"

    def start(self, thinking: Thinking) -> str:
        begin, end = self._marks.think_start, self._marks.think_end
        if thinking is Thinking.NONE or begin is None or end is None:
            return "answer"
        # A mark that is a token can come as that token alone, another one wherever the text has it.
        if (spelled := self.spelled(end)).startswith("<"):
            self._rules.append(f"thought: /(?s:.*)/ {spelled}")
        else:
            self._rules.append(f"thought[lazy]: /(?s:.*){_escaped(end)}/")
        self._rules.append(r"GAP: /[ \n]{1,3}/")
        thought = "thought GAP? answer"
        return thought if thinking is Thinking.OPEN else f"answer | {self.spelled(begin)} {thought}"

    def json(self, name: str, schema: str, param: str, *, is_lenient: bool = False) -> str:
        content = json.loads(schema)
        content["x-guidance"] = {"whitespace_pattern": _WHITE_SPACE, "lenient": is_lenient}
        self._schemas[name] = Schema(content, param)
        return f"@{name}"

    def calls(self, calls: ToolCalls, syntax: CallSyntax) -> str:
        for index, tool in enumerate(calls.tools):
            self._call(index, tool, syntax)
        names = " | ".join(f"call_{index}" for index in range(len(calls.tools)))
        one = f"({names})"
        if not calls.at_most_one:
            one += f" ({_sequence(self.spelled(syntax.between), one)})*"
        return _sequence(self.spelled(syntax.before_all), one, self.spelled(syntax.after_all))

    def _call(self, index: int, tool: CallableTool, syntax: CallSyntax) -> None:
        if (name := syntax.written(tool.name)) is None:
            raise InvalidRequest(
                f'{tool.param}: this model cannot call a tool named "{tool.name:.64}".', tool.param
            )
        arguments = self.json(f"arguments_{index}", tool.schema, tool.param, is_lenient=not tool.is_strict)
        before = self.spelled(syntax.before_name + name + syntax.before_arguments)
        call = _sequence(before, arguments, self.spelled(syntax.after_arguments))
        self._rules.append(f"call_{index}: {call}")


def _sequence(*parts: str) -> str:
    return " ".join(filter(None, parts))


def _literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _escaped(text: str) -> str:
    """As part of a regular expression between slashes."""
    return re.escape(text).replace("/", r"\/")
