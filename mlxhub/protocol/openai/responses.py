"""POST /v1/responses: what a client sends."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from mlxhub.protocol.openai.chat import MAX_MESSAGES, MAX_NAME, MAX_PARTS, MAX_TOOLS, MAX_TOP_LOGPROBS
from mlxhub.protocol.openai.content_parts import InputAudio
from mlxhub.protocol.openai.sampling import Lenient, StreamOptions
from mlxhub.protocol.parameters import Ignored, Refused
from mlxhub.protocol.tagged import LISTED, LONE_TEXT, TEXT_OR_LIST, UNSUPPORTED, tag, told_apart_by

MAX_METADATA = 16
OUTPUT_LOGPROBS = "message.output_text.logprobs"


class InputText(Lenient):
    type: Literal["input_text"]
    text: str


class OutputText(Lenient):
    type: Literal["output_text"]
    text: str


class InputImage(Lenient):
    type: Literal["input_image"]
    image_url: str = Field(
        min_length=1, description="A data: URI; http(s) only where the model may fetch pictures."
    )
    detail: Annotated[Any, Ignored(unless=("auto",))] = None
    file_id: Annotated[Any, Refused("files are not kept here. Send the picture as `image_url`.")] = None


class InputSound(Lenient):
    type: Literal["input_audio"]
    input_audio: InputAudio


_Part = Annotated[
    Annotated[InputText, Tag(tag("input_text"))]
    | Annotated[InputImage, Tag(tag("input_image"))]
    | Annotated[InputSound, Tag(tag("input_audio"))]
    | Annotated[OutputText, Tag(tag("output_text"))],
    told_apart_by(
        "type", "only parts of type input_text, input_image, input_audio and output_text are supported here"
    ),
]
_Parts = Annotated[list[_Part], Field(max_length=MAX_PARTS, fail_fast=True), Tag(LISTED)]
_Text = Annotated[str, Tag(LONE_TEXT)]
Text = Annotated[_Text | _Parts, TEXT_OR_LIST]


class MessageItem(Lenient):
    type: Literal["message"] = "message"
    role: Literal["user", "assistant", "system", "developer"]
    content: Text


class FunctionCallItem(Lenient):
    """`arguments` is JSON text."""

    type: Literal["function_call"]
    call_id: str = Field(min_length=1)
    name: str = Field(min_length=1)
    arguments: str


class FunctionCallOutputItem(Lenient):
    type: Literal["function_call_output"]
    call_id: str = Field(min_length=1)
    output: Text


class ReasoningText(Lenient):
    text: str


_ReasoningTexts = Annotated[list[ReasoningText], Field(max_length=MAX_PARTS, fail_fast=True)]


class ReasoningItem(Lenient):
    """The text of its content, or of its summary where there is no other."""

    type: Literal["reasoning"]
    content: _ReasoningTexts | None = None
    summary: _ReasoningTexts | None = None

    @property
    def text(self) -> str:
        return "\n".join(part.text for part in self.content or self.summary or ())


InputItem = Annotated[
    Annotated[MessageItem, Tag(tag("message"))]
    | Annotated[FunctionCallItem, Tag(tag("function_call"))]
    | Annotated[FunctionCallOutputItem, Tag(tag("function_call_output"))]
    | Annotated[ReasoningItem, Tag(tag("reasoning"))],
    told_apart_by(
        "type",
        "only items of type message, function_call, function_call_output and reasoning are supported here",
        default="message",
    ),
]


_Items = Annotated[list[InputItem], Field(min_length=1, max_length=MAX_MESSAGES, fail_fast=True), Tag(LISTED)]


class FunctionTool(Lenient):
    type: Literal["function"]
    name: str = Field(min_length=1, max_length=MAX_NAME)
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class OtherTool(Lenient):
    """One that OpenAI's servers would run, or a group of tools: agents offer them to whoever answers.

    Models here are not told of it.
    """

    type: str = Field(max_length=MAX_NAME, json_schema_extra={"not": {"const": "function"}})


def _tool_tag(value: Any) -> str | None:
    kind = value.get("type") if isinstance(value, Mapping) else getattr(value, "type", None)
    return None if not isinstance(kind, str) else tag("function" if kind == "function" else "other")


Tool = Annotated[
    Annotated[FunctionTool, Tag(tag("function"))] | Annotated[OtherTool, Tag(tag("other"))],
    Discriminator(_tool_tag, custom_error_type=UNSUPPORTED, custom_error_message="a tool needs a type"),
]


class FunctionChoice(Lenient):
    type: Literal["function"]
    name: str = Field(min_length=1, max_length=MAX_NAME)


class AllowedFunctions(Lenient):
    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: list[FunctionChoice] = Field(min_length=1, max_length=MAX_TOOLS, fail_fast=True)


class ReasoningOptions(Lenient):
    effort: Annotated[str | None, Field(max_length=40), Ignored(unless=("none",))] = None
    context: Annotated[Any, Ignored(unless=("auto",))] = None
    generate_summary: Annotated[Any, Ignored()] = None
    mode: Annotated[Any, Ignored(unless=("standard",))] = None
    summary: Annotated[Any, Ignored()] = None


class ResponsePlainText(Lenient):
    type: Literal["text"]


class ResponseJsonObject(Lenient):
    type: Literal["json_object"]


class ResponseJsonSchema(Lenient):
    type: Literal["json_schema"]
    name: str = Field(min_length=1, max_length=MAX_NAME)
    description: str | None = None
    schema_: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None


TextFormat = Annotated[
    Annotated[ResponsePlainText, Tag(tag("text"))]
    | Annotated[ResponseJsonObject, Tag(tag("json_object"))]
    | Annotated[ResponseJsonSchema, Tag(tag("json_schema"))],
    told_apart_by("type", "its type must be text, json_object or json_schema"),
]


class TextOptions(Lenient):
    format: TextFormat | None = None
    verbosity: Annotated[Any, Ignored(unless=("medium",))] = None


Metadata = dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]]


class ResponsesRequest(Lenient):
    """An explicit null is the same as leaving the field out."""

    model: str
    input: Annotated[_Text | _Items, TEXT_OR_LIST]
    instructions: str | None = None
    max_output_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, ge=0, le=1)
    stream: bool | None = None
    tools: list[Tool] | None = Field(None, max_length=MAX_TOOLS, fail_fast=True)
    tool_choice: Literal["auto", "none", "required"] | FunctionChoice | AllowedFunctions | None = None
    parallel_tool_calls: bool | None = None
    reasoning: ReasoningOptions | None = None
    text: TextOptions | None = None
    metadata: Metadata | None = Field(None, max_length=MAX_METADATA)
    previous_response_id: str | None = None
    store: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=MAX_TOP_LOGPROBS)
    stream_options: StreamOptions | None = None
    access_programs: Annotated[Any, Ignored()] = None
    background_options: Annotated[Any, Ignored()] = None
    context_management: Annotated[Any, Ignored()] = None
    image: Annotated[Any, Ignored()] = None
    include: Annotated[list[str] | None, Ignored(unless=(OUTPUT_LOGPROBS,))] = None
    max_tool_calls: Annotated[Any, Ignored()] = None
    prompt_cache_key: Annotated[Any, Ignored()] = None
    prompt_cache_options: Annotated[Any, Ignored()] = None
    prompt_cache_retention: Annotated[Any, Ignored()] = None
    safety_identifier: Annotated[Any, Ignored()] = None
    service_tier: Annotated[Any, Ignored(unless=("auto", "default"))] = None
    truncation: Annotated[Any, Ignored(unless=("disabled",))] = None
    user: Annotated[Any, Ignored()] = None
    background: Annotated[Any, Refused("every response is waited for here.", unless=(False,))] = None
    conversation: Annotated[Any, Refused("there are no conversations here.")] = None
    moderation: Annotated[Any, Refused("nothing here moderates.")] = None
    prompt: Annotated[Any, Refused("there are no stored prompts here.")] = None

    @property
    def functions(self) -> list[FunctionTool]:
        return [tool for tool in self.tools or () if isinstance(tool, FunctionTool)]

    @property
    def offers_other_tools(self) -> bool:
        """They are ignored."""
        return len(self.functions) < len(self.tools or ())

    @property
    def wants_logprobs(self) -> bool:
        """Of the texts in the output."""
        return bool(self.top_logprobs) or OUTPUT_LOGPROBS in (self.include or ())
