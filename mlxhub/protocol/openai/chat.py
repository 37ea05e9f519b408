"""POST /v1/chat/completions: what a client sends."""

import json
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from mlxhub.protocol.openai.sampling import Lenient, SamplingFields
from mlxhub.refusals import InvalidRequest

MAX_MESSAGES = 4096
MAX_PARTS = 4096
MAX_TOOLS = 128
Role = Literal["system", "developer", "user", "assistant", "tool"]


class ContentPart(Lenient):
    type: str = Field(json_schema_extra={"enum": ["text"]})
    text: str | None = None


class CalledFunction(Lenient):
    name: str
    arguments: str | dict[str, Any] = ""


class ToolCall(Lenient):
    id: str | None = None
    function: CalledFunction


class ChatMessage(Lenient):
    role: Role
    content: str | Annotated[list[ContentPart], Field(max_length=MAX_PARTS, fail_fast=True)] | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = Field(None, max_length=MAX_TOOLS)
    tool_call_id: str | None = None
    reasoning_content: str | None = None


class Function(Lenient):
    model_config = ConfigDict(extra="allow")

    name: str = Field(min_length=1, max_length=200)
    description: str | None = None
    parameters: dict[str, Any] | None = None


class Tool(Lenient):
    type: Literal["function"]
    function: Function


class ResponseFormat(Lenient):
    type: str = Field(json_schema_extra={"enum": ["text"]})


class ChatTemplateOptions(Lenient):
    enable_thinking: bool | None = None


class ChatRequest(SamplingFields):
    messages: list[ChatMessage] = Field(min_length=1, max_length=MAX_MESSAGES, fail_fast=True)
    max_completion_tokens: int | None = Field(None, ge=1)
    tools: list[Tool] | None = Field(None, max_length=MAX_TOOLS)
    tool_choice: str | dict[str, Any] | None = Field(None, json_schema_extra={"enum": ["auto", "none", None]})
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    logprobs: bool | None = Field(None, json_schema_extra={"enum": [False, None]})
    top_logprobs: int | None = Field(None, json_schema_extra={"enum": [0, None]})
    chat_template_kwargs: ChatTemplateOptions | None = None

    @property
    def answer_limit(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens

    def check_supported(self) -> None:
        """Raises InvalidRequest for what is valid at OpenAI's and cannot be done here."""
        if self.tool_choice not in (None, "auto", "none"):
            raise InvalidRequest('tool_choice: only "auto" and "none" are supported yet.', "tool_choice")
        if self.response_format is not None and self.response_format.type != "text":
            raise InvalidRequest(
                f'response_format: "{self.response_format.type:.40}" is not supported yet.', "response_format"
            )
        if self.logprobs:
            raise InvalidRequest("logprobs: not supported yet.", "logprobs")
        if self.top_logprobs:
            raise InvalidRequest("top_logprobs: not supported yet.", "top_logprobs")

    def template_messages(self) -> tuple[dict[str, Any], ...]:
        return tuple(_template_message(message, place) for place, message in enumerate(self.messages))

    def template_tools(self) -> tuple[dict[str, Any], ...]:
        """Empty where the client wants no calls."""
        if self.tool_choice == "none":
            return ()
        return tuple(tool.model_dump(exclude_none=True) for tool in self.tools or ())


def _template_message(message: ChatMessage, place: int) -> dict[str, Any]:
    """As chat templates expect it: content is text, arguments of calls are objects, no developer role."""
    role = "system" if message.role == "developer" else message.role
    plain: dict[str, Any] = {"role": role, "content": _text(message.content, place)}
    if message.tool_calls:
        plain["tool_calls"] = [_template_call(call) for call in message.tool_calls]
    for key in ("name", "tool_call_id", "reasoning_content"):
        if (value := message.__dict__[key]) is not None:
            plain[key] = value
    return plain


def _text(content: str | list[ContentPart] | None, place: int) -> str:
    if not isinstance(content, list):
        return content or ""
    for part in content:
        if part.type != "text":
            raise InvalidRequest(
                f'messages[{place}].content: this model reads text only, not "{part.type:.40}".',
                f"messages[{place}].content",
            )
    return "\n".join(part.text or "" for part in content)


def _template_call(call: ToolCall) -> dict[str, Any]:
    arguments = call.function.arguments
    if isinstance(arguments, str):
        try:
            parsed = json.loads(arguments) if arguments else {}
        except (ValueError, RecursionError):
            parsed = arguments
        arguments = parsed if isinstance(parsed, dict) else arguments
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.function.name, "arguments": arguments},
    }
