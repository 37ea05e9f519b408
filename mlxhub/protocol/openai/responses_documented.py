"""The shape of a whole response, for the OpenAPI document; `responses_answers.py` makes it."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from mlxhub.protocol.openai.documented import ToldSample


class _Answered(BaseModel):
    """Nothing else is answered than what stands here."""

    model_config = ConfigDict(extra="forbid", defer_build=True)


class AnsweredOutputText(_Answered):
    type: Literal["output_text"]
    text: str
    annotations: list[Any]
    logprobs: list[ToldSample]


class AnsweredReasoningText(_Answered):
    type: Literal["reasoning_text"]
    text: str


class _Item(_Answered):
    id: str
    status: Literal["completed", "incomplete"]


class AnsweredMessageItem(_Item):
    type: Literal["message"]
    role: Literal["assistant"]
    content: list[AnsweredOutputText]


class AnsweredReasoningItem(_Item):
    type: Literal["reasoning"]
    summary: list[Any]
    content: list[AnsweredReasoningText]


class AnsweredCallItem(_Item):
    """`arguments` is JSON text."""

    type: Literal["function_call"]
    call_id: str
    name: str
    arguments: str


class IncompleteDetails(_Answered):
    reason: Literal["max_output_tokens"]


class InputTokenDetails(_Answered):
    cached_tokens: int
    cache_write_tokens: int


class OutputTokenDetails(_Answered):
    reasoning_tokens: int


class ResponseUsage(_Answered):
    input_tokens: int
    input_tokens_details: InputTokenDetails
    output_tokens: int
    output_tokens_details: OutputTokenDetails
    total_tokens: int


class AnsweredResponse(_Answered):
    """From `background` on it repeats what was asked for."""

    id: str
    object: Literal["response"]
    created_at: int
    completed_at: int | None
    status: Literal["completed", "incomplete"]
    error: None
    incomplete_details: IncompleteDetails | None
    model: str
    output: list[AnsweredMessageItem | AnsweredReasoningItem | AnsweredCallItem]
    usage: ResponseUsage
    background: Literal[False]
    instructions: str | None
    max_output_tokens: int | None
    metadata: dict[str, str]
    parallel_tool_calls: bool
    previous_response_id: str | None
    reasoning: dict[str, Any]
    store: bool
    temperature: float | None
    text: dict[str, Any]
    tool_choice: str | dict[str, Any]
    tools: list[dict[str, Any]]
    top_logprobs: int
    top_p: float | None
    truncation: Literal["disabled"]


class DeletedResponse(_Answered):
    id: str
    object: Literal["response"]
    deleted: Literal[True]
