"""The shapes of whole answers, for the OpenAPI document; `answers.py` writes them as bytes."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from mlxhub.protocol.parts import Finish


class _Answered(BaseModel):
    """Nothing else is answered than what stands here."""

    model_config = ConfigDict(extra="forbid", defer_build=True)


class PromptTokenCounts(_Answered):
    cached_tokens: int


class TokenCounts(_Answered):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokenCounts


class CompletionTokenCounts(_Answered):
    reasoning_tokens: int


class ChatTokenCounts(TokenCounts):
    completion_tokens_details: CompletionTokenCounts


class NamedCall(_Answered):
    """`arguments` is JSON text."""

    name: str
    arguments: str


class AnsweredCall(_Answered):
    id: str
    type: Literal["function"]
    function: NamedCall


class AssistantMessage(_Answered):
    """`content` is null where there are calls alone."""

    role: Literal["assistant"]
    content: str | None
    refusal: None
    reasoning_content: str = ""
    tool_calls: list[AnsweredCall] = []


class ToldToken(_Answered):
    """`token` shows bytes that are no whole character as U+FFFD."""

    token: str
    logprob: float
    bytes: list[int]


class ToldSample(ToldToken):
    top_logprobs: list[ToldToken]


class ChatLogprobs(_Answered):
    content: list[ToldSample]
    refusal: None


class ChatChoice(_Answered):
    index: int
    message: AssistantMessage
    logprobs: ChatLogprobs | None
    finish_reason: Finish


class ChatCompletion(_Answered):
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: ChatTokenCounts


class TextLogprobs(_Answered):
    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]


class TextChoice(_Answered):
    index: int
    text: str
    logprobs: TextLogprobs | None
    finish_reason: Finish


class TextCompletion(_Answered):
    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[TextChoice]
    usage: TokenCounts
