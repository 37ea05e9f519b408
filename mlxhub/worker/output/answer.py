"""One row's deltas as parts of a chat answer: reasoning, content, tool calls, and how it ended."""

import uuid
from dataclasses import dataclass
from typing import TypeAlias

from mlxhub.core.constraint import Constraint, JsonText
from mlxhub.protocol.openai.answers import Finish, FunctionCall
from mlxhub.worker.engines.engine import FinishReason, JsonObject, LoadedModel
from mlxhub.worker.output.parser import Content, OutputParser, Reasoning, Segment, ToolSpan

Part: TypeAlias = Reasoning | Content | FunctionCall


@dataclass(frozen=True, slots=True)
class Ending:
    parts: tuple[Part, ...]
    finish: Finish


class RowReader:
    """What is no call after all, cut off or malformed, is content: nothing the model wrote is lost."""

    def __init__(
        self,
        model: LoadedModel,
        tools: tuple[JsonObject, ...],
        *,
        in_reasoning: bool,
        constraint: Constraint | None = None,
    ) -> None:
        self._model = model
        self._tools = tools
        self._parser = OutputParser(
            model.markers,
            in_reasoning=in_reasoning,
            with_tools=bool(tools),
            one_content=isinstance(constraint, JsonText),
        )
        self._has_called = False

    def read(self, text: str) -> list[Part]:
        return self._parts(self._parser.feed(text))

    def finish(self, text: str, reason: FinishReason) -> Ending:
        parts = self.read(text) + self._parts(self._parser.finish())
        called = self._has_called and reason is FinishReason.STOP
        return Ending(tuple(parts), "tool_calls" if called else reason.value)

    def _parts(self, segments: list[Segment]) -> list[Part]:
        parts: list[Part] = []
        for segment in segments:
            if isinstance(segment, ToolSpan):
                parts += self._calls(segment)
            else:
                parts.append(segment)
        return parts

    def _calls(self, span: ToolSpan) -> list[Part]:
        try:
            calls = self._model.parse_tool_call(span.text, self._tools)
        except ValueError:
            return [Content(span.source)]
        self._has_called = self._has_called or bool(calls)
        return [FunctionCall(f"call_{uuid.uuid4().hex[:24]}", call.name, call.arguments) for call in calls]
