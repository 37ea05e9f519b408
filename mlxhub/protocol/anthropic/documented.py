"""The shapes of whole answers, for the OpenAPI document; `answers.py` writes them as bytes."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from mlxhub.protocol.anthropic.answers import StopReason


class _Answered(BaseModel):
    """Nothing else is answered than what stands here."""

    model_config = ConfigDict(extra="forbid", defer_build=True)


class AnsweredText(_Answered):
    type: Literal["text"]
    text: str


class AnsweredThinking(_Answered):
    type: Literal["thinking"]
    thinking: str
    signature: str


class AnsweredToolUse(_Answered):
    type: Literal["tool_use"]
    id: str
    name: str
    input: dict[str, Any]


class MessageUsage(_Answered):
    input_tokens: int
    cache_creation_input_tokens: int
    cache_read_input_tokens: int
    output_tokens: int


class AnsweredMessage(_Answered):
    """`stop_sequence`: the text that ended it, where one did."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[AnsweredText | AnsweredThinking | AnsweredToolUse]
    stop_reason: StopReason
    stop_sequence: str | None
    usage: MessageUsage


class TokenCount(_Answered):
    input_tokens: int
