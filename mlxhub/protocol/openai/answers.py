"""What clients get: whole answers, and streaming chunks built as bytes, since there is one per token."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from mlxhub.protocol.openai.logprobs import chat_logprobs, text_logprobs
from mlxhub.protocol.parts import (
    Answered,
    Content,
    Ending,
    Finish,
    FunctionCall,
    Part,
    Reasoning,
    SampledLogprob,
    Usage,
)
from mlxhub.protocol.sse import DONE, data_event

encode = msgspec.json.encode
_NULL = b"null"


@dataclass(frozen=True, slots=True)
class Header:
    """What every part of one answer says of it."""

    id: str
    created: int
    model: str

    def as_json(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


class ChunkWriter:
    """Chunks of one stream. The choice's own part is `"delta":{…}` for chat, `"text":"…"` for completions.

    `logprobs` is JSON.
    """

    def __init__(self, header: Header, kind: str, *, include_usage: bool) -> None:
        self._head = b"data: " + encode(header.as_json(kind))[:-1]
        self._tail = b',"usage":null}\n\n' if include_usage else b"}\n\n"

    def content(self, row: int, text: str, logprobs: bytes = _NULL) -> bytes:
        return self._choice(row, b'"delta":{"content":' + encode(text) + b"}", logprobs)

    def delta(
        self, row: int, delta: dict[str, Any], logprobs: bytes = _NULL, finish: Finish | None = None
    ) -> bytes:
        return self._choice(row, b'"delta":' + encode(delta), logprobs, finish)

    def text(self, row: int, text: str, logprobs: bytes = _NULL, finish: Finish | None = None) -> bytes:
        return self._choice(row, b'"text":' + encode(text), logprobs, finish)

    def usage(self, usage: Usage) -> bytes:
        return self._head + b',"choices":[],"usage":' + encode(usage_json(usage)) + b"}\n\n"

    def _choice(self, row: int, own: bytes, logprobs: bytes, finish: Finish | None = None) -> bytes:
        reason = _NULL if finish is None else encode(finish)
        return b"".join(
            (
                self._head,
                b',"choices":[{"index":%d,' % row,
                own,
                b',"logprobs":',
                logprobs,
                b',"finish_reason":',
                reason,
                b"}]",
                self._tail,
            )
        )


class ChatWriter:
    """An AnswerWriter of chat chunks."""

    def __init__(self, header: Header, answers: int, *, include_usage: bool) -> None:
        self._chunks = ChunkWriter(header, "chat.completion.chunk", include_usage=include_usage)
        self._include_usage = include_usage
        self._calls = [0] * answers

    def begin(self, usage: Usage) -> bytes:
        del usage
        first = {"role": "assistant", "content": "", "refusal": None}
        return b"".join(self._chunks.delta(row, first) for row in range(len(self._calls)))

    def part(self, row: int, part: Part) -> bytes:
        told = encode(chat_logprobs(part.logprobs)) if part.logprobs else _NULL
        match part:
            case Content(text):
                return self._chunks.content(row, text, told)
            case Reasoning(text):
                return self._chunks.delta(row, {"reasoning_content": text}, told)
            case FunctionCall():
                index = self._calls[row]
                self._calls[row] += 1
                return self._chunks.delta(row, {"tool_calls": [{"index": index, **call_json(part)}]}, told)

    def end(self, row: int, ending: Ending) -> bytes:
        return self._chunks.delta(row, {}, finish=ending.finish)

    def finish(self, usage: Usage) -> bytes:
        return self._chunks.usage(usage) + DONE if self._include_usage else DONE


def chat_completion(header: Header, answered: Answered) -> bytes:
    choices = [_chat_choice(row, ending) for row, ending in enumerate(answered.rows)]
    return whole_answer(header, "chat.completion", choices, answered.usage)


def _chat_choice(row: int, ending: Ending) -> dict[str, Any]:
    content = "".join(part.text for part in ending.parts if isinstance(part, Content))
    reasoning = "".join(part.text for part in ending.parts if isinstance(part, Reasoning))
    calls = [call_json(part) for part in ending.parts if isinstance(part, FunctionCall)]
    message: dict[str, Any] = {
        "role": "assistant",
        "content": content if content or not calls else None,
        "refusal": None,
    }
    if reasoning:
        message["reasoning_content"] = reasoning
    if calls:
        message["tool_calls"] = calls
    told = [logprob for part in ending.parts for logprob in part.logprobs]
    logprobs = chat_logprobs(told) if told else None
    return {"index": row, "message": message, "logprobs": logprobs, "finish_reason": ending.finish}


def text_choice(row: int, text: str, logprobs: Sequence[SampledLogprob], finish: Finish) -> dict[str, Any]:
    told = text_logprobs(logprobs, 0) if logprobs else None
    return {"index": row, "text": text, "logprobs": told, "finish_reason": finish}


def whole_answer(header: Header, kind: str, choices: Sequence[dict[str, Any]], usage: Usage) -> bytes:
    return encode({**header.as_json(kind), "choices": choices, "usage": usage_json(usage)})


def usage_json(usage: Usage) -> dict[str, Any]:
    said: dict[str, Any] = {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }
    if usage.reasoning_tokens is not None:
        said["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    return said


def call_json(call: FunctionCall) -> dict[str, Any]:
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }


def event(payload: dict[str, Any]) -> bytes:
    return data_event(encode(payload))
