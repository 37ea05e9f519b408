"""What an answer must be like, whichever API asked for it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

from mlxhub.refusals import InvalidRequest

MAX_SCHEMA_BYTES = 256 * 1024
MAX_SCHEMA_DEPTH = 64
ANY_OBJECT: Mapping[str, Any] = {"type": "object"}


@dataclass(frozen=True, slots=True)
class DeclaredTool:
    """As a client declares it. `parameters`: a JSON Schema; None: any."""

    name: str
    parameters: Mapping[str, Any] | None = None
    is_strict: bool = False


class Calling(StrEnum):
    NONE = "none"
    AUTO = "auto"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """`names`: the tools that may be called; None: all."""

    calling: Calling = Calling.AUTO
    names: frozenset[str] | None = None
    at_most_one: bool = False

    def allows(self, name: str) -> bool:
        return self.calling is not Calling.NONE and (self.names is None or name in self.names)

    def shows(self, name: str) -> bool:
        """Whether the model hears of it. Where a call is required, others than the allowed do no harm."""
        return self.calling is Calling.REQUIRED or self.allows(name)


@dataclass(frozen=True, slots=True)
class CallableTool:
    """`schema`: of the arguments, JSON text. `is_strict`: what of it cannot be enforced is refused."""

    name: str
    schema: str
    is_strict: bool = False
    param: str = "tools"


@dataclass(frozen=True, slots=True)
class ToolCalls:
    """Calls of these tools, and nothing else."""

    tools: tuple[CallableTool, ...]
    at_most_one: bool = False


@dataclass(frozen=True, slots=True)
class JsonText:
    """One JSON value that `schema`, JSON text, allows; or `calls` in its place. `param` named the schema."""

    schema: str
    calls: ToolCalls | None = None
    param: str = "response_format"


Constraint: TypeAlias = JsonText | ToolCalls


def answer_constraint(
    tools: Sequence[DeclaredTool],
    choice: ToolChoice,
    schema: Mapping[str, Any] | None = None,
    *,
    schema_param: str = "response_format",
) -> Constraint | None:
    """None: free. `schema` holds for an answer that is no call. Raises InvalidRequest.

    Whether the schemas make sense is seen when they are compiled. A free answer with one call at most is its
    reader's business.
    """
    if unknown := (choice.names or frozenset()) - {tool.name for tool in tools}:
        raise InvalidRequest(f'tool_choice: no tool is named "{min(unknown):.64}".', "tool_choice")
    is_callable = any(choice.allows(tool.name) for tool in tools)
    if choice.calling is Calling.REQUIRED:
        if not is_callable:
            raise InvalidRequest("tool_choice: it requires a call, but allows no tool.", "tool_choice")
        return _tool_calls(tools, choice)
    if schema is None:
        return None
    calls = _tool_calls(tools, choice) if is_callable else None
    return JsonText(_schema_text(schema, schema_param), calls, schema_param)


def _tool_calls(tools: Sequence[DeclaredTool], choice: ToolChoice) -> ToolCalls:
    allowed = tuple(
        _callable(tool, f"tools[{index}]") for index, tool in enumerate(tools) if choice.allows(tool.name)
    )
    _check_size(sum(len(tool.schema.encode()) for tool in allowed), "tools")
    return ToolCalls(allowed, choice.at_most_one)


def _callable(tool: DeclaredTool, param: str) -> CallableTool:
    parameters = ANY_OBJECT if tool.parameters is None else tool.parameters
    return CallableTool(tool.name, _schema_text(parameters, param), tool.is_strict, param)


def _schema_text(schema: Mapping[str, Any], param: str) -> str:
    if _depth(schema) > MAX_SCHEMA_DEPTH:
        raise InvalidRequest(f"{param}: a schema may have {MAX_SCHEMA_DEPTH} levels.", param)
    text = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
    _check_size(len(text.encode()), param)
    return text


def _check_size(size: int, param: str) -> None:
    if size > MAX_SCHEMA_BYTES:
        raise InvalidRequest(f"{param}: schemas may have {MAX_SCHEMA_BYTES // 1024} KB together.", param)


def _depth(value: Any) -> int:
    """Of objects and lists. Not by recursion, which a deep one would exhaust."""
    levels = 0
    level: list[Any] = [value]
    while level := [each for each in level if isinstance(each, Mapping | list)]:
        levels += 1
        level = [part for each in level for part in (each.values() if isinstance(each, Mapping) else each)]
    return levels
