"""What clients get: whole answers, and streaming chunks built as bytes, since there is one per token."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import msgspec

from mlxhub.protocol.sse import data_event

Finish: TypeAlias = Literal["stop", "length", "tool_calls"]
encode = msgspec.json.encode


@dataclass(frozen=True, slots=True)
class Usage:
    """`cached_tokens` of the prompt's did not have to be read."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0

    def as_json(self) -> dict[str, Any]:
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens},
        }


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """`arguments` is JSON text."""

    id: str
    name: str
    arguments: str

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "type": "function",
            "function": {"name": self.name, "arguments": self.arguments},
        }


@dataclass(frozen=True, slots=True)
class Header:
    """What every part of one answer says of it."""

    id: str
    created: int
    model: str

    def as_json(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


class ChunkWriter:
    """Chunks of one stream. The choice's own part is `"delta":{…}` for chat, `"text":"…"` for completions."""

    def __init__(self, header: Header, kind: str, *, include_usage: bool) -> None:
        self._head = b"data: " + encode(header.as_json(kind))[:-1]
        self._tail = b',"usage":null}\n\n' if include_usage else b"}\n\n"

    def content(self, row: int, text: str) -> bytes:
        return self._choice(row, b'"delta":{"content":' + encode(text) + b"}")

    def delta(self, row: int, delta: dict[str, Any], finish: Finish | None = None) -> bytes:
        return self._choice(row, b'"delta":' + encode(delta), finish)

    def text(self, row: int, text: str, finish: Finish | None = None) -> bytes:
        return self._choice(row, b'"text":' + encode(text), finish)

    def usage(self, usage: Usage) -> bytes:
        return self._head + b',"choices":[],"usage":' + encode(usage.as_json()) + b"}\n\n"

    def _choice(self, row: int, own: bytes, finish: Finish | None = None) -> bytes:
        reason = b"null" if finish is None else encode(finish)
        return b"".join(
            (
                self._head,
                b',"choices":[{"index":%d,' % row,
                own,
                b',"logprobs":null,"finish_reason":',
                reason,
                b"}]",
                self._tail,
            )
        )


def chat_choice(
    row: int, content: str, reasoning: str, calls: Sequence[FunctionCall], finish: Finish
) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": content if content or not calls else None,
        "refusal": None,
    }
    if reasoning:
        message["reasoning_content"] = reasoning
    if calls:
        message["tool_calls"] = [call.as_json() for call in calls]
    return {"index": row, "message": message, "logprobs": None, "finish_reason": finish}


def text_choice(row: int, text: str, finish: Finish) -> dict[str, Any]:
    return {"index": row, "text": text, "logprobs": None, "finish_reason": finish}


def whole_answer(header: Header, kind: str, choices: Sequence[dict[str, Any]], usage: Usage) -> bytes:
    return encode({**header.as_json(kind), "choices": choices, "usage": usage.as_json()})


def event(payload: dict[str, Any]) -> bytes:
    return data_event(encode(payload))
