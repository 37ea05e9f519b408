"""POST /v1/messages and /v1/messages/count_tokens: what a client sends."""

from typing import Annotated, Any, Literal

from pydantic import Field, Tag

from mlxhub.protocol.openai.chat import MAX_MESSAGES, MAX_NAME, MAX_PARTS, MAX_TOOLS
from mlxhub.protocol.openai.sampling import MAX_STOPS, Lenient, Stop
from mlxhub.protocol.parameters import Ignored, Refused
from mlxhub.protocol.tagged import LISTED, LONE_TEXT, TEXT_OR_LIST, tag, told_apart_by

_Text = Annotated[str, Tag(LONE_TEXT)]


class TextBlock(Lenient):
    type: Literal["text"]
    text: str


class ThinkingBlock(Lenient):
    """`signature` is not looked at: local models sign nothing."""

    type: Literal["thinking"]
    thinking: str


class RedactedThinkingBlock(Lenient):
    """Of another server's model; nobody here can read it."""

    type: Literal["redacted_thinking"]


class Base64Source(Lenient):
    type: Literal["base64"]
    media_type: str = Field(pattern="^image/[a-z0-9.+-]+$")
    data: str


class UrlSource(Lenient):
    type: Literal["url"]
    url: str = Field(min_length=1, description="http(s), where the model may fetch pictures.")


class ImageBlock(Lenient):
    type: Literal["image"]
    source: Annotated[
        Annotated[Base64Source, Tag(tag("base64"))] | Annotated[UrlSource, Tag(tag("url"))],
        told_apart_by("type", "its type must be base64 or url"),
    ]

    @property
    def url(self) -> str:
        match self.source:
            case UrlSource(url=url):
                return url
            case Base64Source(media_type=media_type, data=data):
                return f"data:{media_type};base64,{data}"


class ToolUseBlock(Lenient):
    type: Literal["tool_use"]
    id: str = Field(min_length=1)
    name: str = Field(min_length=1)
    input: dict[str, Any]


_TEXT_BLOCK = told_apart_by("type", "only blocks of type text are supported here")
_TextBlocks = Annotated[
    list[Annotated[Annotated[TextBlock, Tag(tag("text"))], _TEXT_BLOCK]],
    Field(max_length=MAX_PARTS, fail_fast=True),
    Tag(LISTED),
]
Text = Annotated[_Text | _TextBlocks, TEXT_OR_LIST]


_ResultBlock = Annotated[
    Annotated[TextBlock, Tag(tag("text"))] | Annotated[ImageBlock, Tag(tag("image"))],
    told_apart_by("type", "only blocks of type text and image are supported here"),
]
_ResultBlocks = Annotated[list[_ResultBlock], Field(max_length=MAX_PARTS, fail_fast=True), Tag(LISTED)]


class ToolResultBlock(Lenient):
    type: Literal["tool_result"]
    tool_use_id: str = Field(min_length=1)
    content: Annotated[_Text | _ResultBlocks, TEXT_OR_LIST] | None = None
    is_error: bool | None = None


_UserBlock = Annotated[
    Annotated[TextBlock, Tag(tag("text"))]
    | Annotated[ImageBlock, Tag(tag("image"))]
    | Annotated[ToolResultBlock, Tag(tag("tool_result"))],
    told_apart_by("type", "only blocks of type text, image and tool_result are supported here"),
]
_AssistantBlock = Annotated[
    Annotated[TextBlock, Tag(tag("text"))]
    | Annotated[ThinkingBlock, Tag(tag("thinking"))]
    | Annotated[RedactedThinkingBlock, Tag(tag("redacted_thinking"))]
    | Annotated[ToolUseBlock, Tag(tag("tool_use"))],
    told_apart_by("type", "only blocks of type text, thinking and tool_use are supported here"),
]


_UserBlocks = Annotated[list[_UserBlock], Field(max_length=MAX_PARTS, fail_fast=True), Tag(LISTED)]
_AssistantBlocks = Annotated[list[_AssistantBlock], Field(max_length=MAX_PARTS, fail_fast=True), Tag(LISTED)]


class UserMessage(Lenient):
    role: Literal["user"]
    content: Annotated[_Text | _UserBlocks, TEXT_OR_LIST]


class AssistantMessage(Lenient):
    role: Literal["assistant"]
    content: Annotated[_Text | _AssistantBlocks, TEXT_OR_LIST]


class SystemMessage(Lenient):
    role: Literal["system"]
    content: Text


Message = Annotated[
    Annotated[UserMessage, Tag(tag("user"))]
    | Annotated[AssistantMessage, Tag(tag("assistant"))]
    | Annotated[SystemMessage, Tag(tag("system"))],
    told_apart_by("role", "the role must be user, assistant or system"),
]


class ClientTool(Lenient):
    """One that the client runs. Those of Anthropic's own servers have other types."""

    type: Literal["custom"] | None = None
    name: str = Field(min_length=1, max_length=MAX_NAME)
    description: str | None = None
    input_schema: dict[str, Any]


class _Choice(Lenient):
    disable_parallel_tool_use: bool | None = None


class AutoChoice(_Choice):
    type: Literal["auto"]


class NoChoice(_Choice):
    type: Literal["none"]


class AnyChoice(_Choice):
    type: Literal["any"]


class NamedChoice(_Choice):
    type: Literal["tool"]
    name: str = Field(min_length=1, max_length=MAX_NAME)


ToolChoice = Annotated[
    Annotated[AutoChoice, Tag(tag("auto"))]
    | Annotated[NoChoice, Tag(tag("none"))]
    | Annotated[AnyChoice, Tag(tag("any"))]
    | Annotated[NamedChoice, Tag(tag("tool"))],
    told_apart_by("type", "its type must be auto, any, tool or none"),
]


class Thinking(Lenient):
    """How much of it (`budget_tokens`) is the model's own affair."""

    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: Annotated[Any, Ignored()] = None
    display: Annotated[Any, Ignored()] = None


class OutputFormat(Lenient):
    type: Literal["json_schema"]
    schema_: dict[str, Any] = Field(alias="schema")


class OutputConfig(Lenient):
    format: OutputFormat | None = None
    effort: Annotated[Any, Ignored()] = None


class Conversation(Lenient):
    """What both routes read. An explicit null is the same as leaving the field out."""

    model: str
    messages: list[Message] = Field(min_length=1, max_length=MAX_MESSAGES, fail_fast=True)
    system: Text | None = None
    tools: list[ClientTool] | None = Field(None, max_length=MAX_TOOLS, fail_fast=True)
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    cache_control: Annotated[Any, Ignored()] = None
    context_management: Annotated[Any, Ignored()] = None
    speed: Annotated[Any, Ignored(unless=("standard",))] = None
    user_profile_id: Annotated[Any, Ignored()] = None
    workspace_id: Annotated[Any, Ignored()] = None
    mcp_servers: Annotated[Any, Refused("nothing here asks MCP servers.")] = None


class MessagesRequest(Conversation):
    max_tokens: int = Field(ge=1)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, ge=0, le=1)
    top_k: int | None = Field(None, ge=0, le=1 << 20)
    stop_sequences: list[Stop] | None = Field(None, max_length=MAX_STOPS, fail_fast=True)
    stream: bool | None = None
    diagnostics: Annotated[Any, Ignored()] = None
    inference_geo: Annotated[Any, Ignored()] = None
    metadata: Annotated[Any, Ignored()] = None
    service_tier: Annotated[Any, Ignored(unless=("auto", "standard_only"))] = None
    container: Annotated[Any, Refused("there are no containers here.")] = None
    thread: dict[str, Any] | None = Field(None, json_schema_extra={"enum": [None]})
