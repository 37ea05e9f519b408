"""One row's deltas as parts of a chat answer: reasoning, content, tool calls, and how it ended."""

import uuid
from collections.abc import Sequence
from dataclasses import replace

from mlxhub.core.constraint import Constraint, JsonText
from mlxhub.protocol.parts import Content, Ending, FunctionCall, Part, Reasoning, SampledLogprob
from mlxhub.worker.engines.engine import FinishReason, JsonObject, LoadedModel
from mlxhub.worker.output.parser import OutputParser, Segment, ToolSpan


class RowReader:
    """What is no call after all, cut off or malformed, is content: nothing the model wrote is lost.

    `one_call`: the client takes one call at most; the first is the end of what it gets. `reasoning_tokens`:
    those read so far within a thought, with the mark that ends it and without the one that begins it.
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
        self.reasoning_tokens = 0
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

    def read(self, text: str, logprobs: Sequence[SampledLogprob] = ()) -> list[Part]:
        """Of one token. Its logprobs are told with the last part of it, if need be with one that is empty."""
        in_reasoning = self._parser.in_reasoning
        self.reasoning_tokens += in_reasoning
        parts = self._parts(self._parser.feed(text)) if text else []
        return _with_logprobs(parts, logprobs, in_reasoning=in_reasoning)

    def finish(
        self,
        text: str,
        reason: FinishReason,
        stop: str | None = None,
        logprobs: Sequence[SampledLogprob] = (),
    ) -> Ending:
        """Of the last token."""
        in_reasoning = self._parser.in_reasoning
        parts = self.read(text) + self._parts(self._parser.finish())
        parts = _with_logprobs(parts, logprobs, in_reasoning=in_reasoning)
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


def _with_logprobs(
    parts: list[Part], logprobs: Sequence[SampledLogprob], *, in_reasoning: bool
) -> list[Part]:
    if not logprobs:
        return parts
    *earlier, last = parts or [Reasoning("") if in_reasoning else Content("")]
    return [*earlier, replace(last, logprobs=tuple(logprobs))]
