"""One row's deltas as parts of a chat answer: reasoning, content, tool calls, and how it ended."""

import uuid

from mlxhub.core.constraint import Constraint, JsonText
from mlxhub.protocol.parts import Content, Ending, FunctionCall, Part
from mlxhub.worker.engines.engine import FinishReason, JsonObject, LoadedModel
from mlxhub.worker.output.parser import OutputParser, Segment, ToolSpan


class RowReader:
    """What is no call after all, cut off or malformed, is content: nothing the model wrote is lost.

    `one_call`: the client takes one call at most; the first is the end of what it gets.
    """

    def __init__(
        self,
        model: LoadedModel,
        tools: tuple[JsonObject, ...],
        *,
        in_reasoning: bool,
        constraint: Constraint | None = None,
        one_call: bool = False,
    ) -> None:
        self._model = model
        self._tools = tools
        self._one_call = one_call
        self._parser = OutputParser(
            model.markers,
            in_reasoning=in_reasoning,
            with_tools=bool(tools),
            one_content=isinstance(constraint, JsonText),
        )
        self._has_called = False

    def read(self, text: str) -> list[Part]:
        return self._parts(self._parser.feed(text))

    def finish(self, text: str, reason: FinishReason, stop: str | None = None) -> Ending:
        parts = self.read(text) + self._parts(self._parser.finish())
        called = self._has_called and (self._one_call or reason is FinishReason.STOP)
        return Ending(tuple(parts), "tool_calls" if called else reason.value, stop)

    def _parts(self, segments: list[Segment]) -> list[Part]:
        parts: list[Part] = []
        for segment in segments:
            if self._one_call and self._has_called:
                break
            if isinstance(segment, ToolSpan):
                parts += self._calls(segment)
            else:
                parts.append(segment)
        return parts

    def _calls(self, span: ToolSpan) -> list[Part]:
        try:
            calls = self._model.parse_tool_call(span.text, self._tools)
            # JSON can spell half a character, which is a fault as well: nothing could carry it.
            "".join(call.name + call.arguments for call in calls).encode()
        except ValueError:
            return [Content(span.source)]
        self._has_called = self._has_called or bool(calls)
        wanted = calls[:1] if self._one_call else calls
        return [FunctionCall(f"call_{uuid.uuid4().hex[:24]}", call.name, call.arguments) for call in wanted]
