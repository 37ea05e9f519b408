"""POST /v1/chat/completions: what a client sends."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, Tag

from mlxhub.core.constraint import (
    ANY_OBJECT,
    Calling,
    Constraint,
    DeclaredTool,
    ToolChoice,
    answer_constraint,
)
from mlxhub.core.medium import Medium
from mlxhub.protocol.openai.content_parts import ContentPart, checked_media
from mlxhub.protocol.openai.sampling import Lenient, SamplingFields
from mlxhub.protocol.parameters import Ignored, Refused
from mlxhub.protocol.tagged import tag, told_apart_by
from mlxhub.refusals import InvalidRequest

MAX_MESSAGES = 4096
MAX_PARTS = 4096
MAX_TOOLS = 128
MAX_NAME = 200
MAX_TOP_LOGPROBS = 20
Role = Literal["system", "developer", "user", "assistant", "tool"]


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

    name: str = Field(min_length=1, max_length=MAX_NAME)
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(Lenient):
    type: Literal["function"]
    function: Function


class TextFormat(Lenient):
    type: Literal["text"]


class JsonObjectFormat(Lenient):
    type: Literal["json_object"]


class NamedSchema(Lenient):
    """`strict` or not, it is enforced."""

    name: str | None = Field(None, min_length=1, max_length=MAX_NAME)
    description: str | None = None
    schema_: dict[str, Any] | None = Field(None, alias="schema")
    strict: bool | None = None


class JsonSchemaFormat(Lenient):
    type: Literal["json_schema"]
    json_schema: NamedSchema


ResponseFormat = Annotated[
    Annotated[TextFormat, Tag(tag("text"))]
    | Annotated[JsonObjectFormat, Tag(tag("json_object"))]
    | Annotated[JsonSchemaFormat, Tag(tag("json_schema"))],
    told_apart_by("type", "its type must be text, json_object or json_schema"),
]


class NamedFunction(Lenient):
    name: str = Field(min_length=1, max_length=MAX_NAME)


class NamedTool(Lenient):
    """Which tool is to be called."""

    type: Literal["function"]
    function: NamedFunction


class AllowedTools(Lenient):
    mode: Literal["auto", "required"]
    tools: list[NamedTool] = Field(min_length=1, max_length=MAX_TOOLS)


class AllowedToolsChoice(Lenient):
    type: Literal["allowed_tools"]
    allowed_tools: AllowedTools


class ChatTemplateOptions(Lenient):
    enable_thinking: bool | None = None


class ChatRequest(SamplingFields):
    messages: list[ChatMessage] = Field(min_length=1, max_length=MAX_MESSAGES, fail_fast=True)
    max_completion_tokens: int | None = Field(None, ge=1)
    tools: list[Tool] | None = Field(None, max_length=MAX_TOOLS)
    tool_choice: Literal["none", "auto", "required"] | NamedTool | AllowedToolsChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(
        None, ge=0, le=MAX_TOP_LOGPROBS, description="Needs `logprobs: true`, unless it is 0."
    )
    chat_template_kwargs: ChatTemplateOptions | None = None
    reasoning_effort: Annotated[Any, Ignored(unless=("none",))] = None
    metadata: Annotated[Any, Ignored()] = None
    prediction: Annotated[Any, Ignored()] = None
    prompt_cache_key: Annotated[Any, Ignored()] = None
    prompt_cache_options: Annotated[Any, Ignored()] = None
    prompt_cache_retention: Annotated[Any, Ignored()] = None
    safety_identifier: Annotated[Any, Ignored()] = None
    service_tier: Annotated[Any, Ignored(unless=("auto", "default"))] = None
    store: Annotated[Any, Ignored(unless=(False,))] = None
    verbosity: Annotated[Any, Ignored(unless=("medium",))] = None
    audio: Annotated[Any, Refused("this model answers with text only.")] = None
    modalities: Annotated[Any, Refused("this model answers with text only.", unless=("text",))] = None
    functions: Annotated[Any, Refused("not supported. Send `tools` in its place.")] = None
    function_call: Annotated[
        Any, Refused("not supported. Send `tool_choice` in its place.", unless=("none", "auto"))
    ] = None
    moderation: Annotated[Any, Refused("nothing here moderates.")] = None
    web_search_options: Annotated[Any, Refused("nothing here searches the web.")] = None

    @property
    def thinking(self) -> bool | None:
        """Whether the model is to think. None: its template decides."""
        options = self.chat_template_kwargs
        if options is not None and options.enable_thinking is not None:
            return options.enable_thinking
        return False if self.reasoning_effort == "none" else None

    @property
    def answer_limit(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens

    @property
    def top_logprobs_wanted(self) -> int | None:
        """As of GenerationRequest. Raises InvalidRequest."""
        if self.logprobs:
            return self.top_logprobs or 0
        if self.top_logprobs:
            raise InvalidRequest("top_logprobs: it needs `logprobs: true`.", "top_logprobs")
        return None

    @property
    def media(self) -> tuple[Medium, ...]:
        """In the order of the messages. Raises InvalidRequest."""
        return checked_media(
            part for message in self.messages if isinstance(message.content, list) for part in message.content
        )

    def template_messages(self, *, takes_media: bool = False) -> tuple[dict[str, Any], ...]:
        """`takes_media`: the model takes more than text. Raises InvalidRequest."""
        return tuple(
            _template_message(message, place, takes_media=takes_media)
            for place, message in enumerate(self.messages)
        )

    def template_tools(self) -> tuple[dict[str, Any], ...]:
        """Those that the client lets the model know of."""
        return tuple(
            tool.model_dump(exclude_none=True)
            for tool in self.tools or ()
            if self._choice.shows(tool.function.name)
        )

    @property
    def constraint(self) -> Constraint | None:
        tools = [
            DeclaredTool(tool.function.name, tool.function.parameters, tool.function.strict is True)
            for tool in self.tools or ()
        ]
        return answer_constraint(tools, self._choice, _schema_wanted(self.response_format))

    @property
    def _choice(self) -> ToolChoice:
        at_most_one = self.parallel_tool_calls is False
        match self.tool_choice:
            case NamedTool(function=function):
                return ToolChoice(Calling.REQUIRED, frozenset({function.name}), at_most_one)
            case AllowedToolsChoice(allowed_tools=allowed):
                names = frozenset(tool.function.name for tool in allowed.tools)
                return ToolChoice(Calling(allowed.mode), names, at_most_one)
            case said:
                return ToolChoice(Calling(said or Calling.AUTO), None, at_most_one)


def _schema_wanted(wanted: ResponseFormat | None) -> Mapping[str, Any] | None:
    match wanted:
        case JsonObjectFormat() | JsonSchemaFormat(json_schema=NamedSchema(schema_=None)):
            return ANY_OBJECT
        case JsonSchemaFormat(json_schema=NamedSchema(schema_=schema)):
            return schema
        case _:
            return None


def _template_message(message: ChatMessage, place: int, *, takes_media: bool) -> dict[str, Any]:
    """As of ChatPrompt: arguments of calls are objects, and there is no developer role."""
    role = "system" if message.role == "developer" else message.role
    plain: dict[str, Any] = {
        "role": role,
        "content": _content(message.content, place, takes_media=takes_media),
    }
    if message.tool_calls:
        plain["tool_calls"] = [_template_call(call) for call in message.tool_calls]
    for key in ("name", "tool_call_id", "reasoning_content"):
        if (value := message.__dict__[key]) is not None:
            plain[key] = value
    return plain


def _content(
    content: str | list[ContentPart] | None, place: int, *, takes_media: bool
) -> str | list[dict[str, Any]]:
    if not isinstance(content, list):
        return content or ""
    for part in content:
        if part.type != "text" and not (takes_media and part.medium is not None):
            reads = "text, image_url, video_url and input_audio" if takes_media else "text only"
            raise InvalidRequest(
                f'messages[{place}].content: this model reads {reads}, not "{part.type:.40}".',
                f"messages[{place}].content",
            )
    if all(part.type == "text" for part in content):
        return "\n".join(part.text or "" for part in content)
    return [
        {"type": "text", "text": part.text or ""} if medium is None else {"type": medium.kind}
        for part in content
        for medium in [part.medium]
    ]


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
