"""What Anthropic's clients get: whole messages, and events built as bytes, since there is one per token."""

from typing import Any, Literal, TypeAlias

import msgspec

from mlxhub.protocol.parts import (
    Answered,
    Content,
    Ending,
    FunctionCall,
    Part,
    Reasoning,
    Usage,
)
from mlxhub.protocol.sse import typed_event

PING = typed_event("ping", b'{"type":"ping"}')
StopReason: TypeAlias = Literal["end_turn", "max_tokens", "stop_sequence", "tool_use"]
encode = msgspec.json.encode


class MessageWriter:
    """An AnswerWriter of one message. Its blocks come one after the other, each begun and ended."""

    def __init__(self, message_id: str, model: str) -> None:
        self._id = message_id
        self._model = model
        self._blocks = 0
        self._open: type[Part] | None = None
        self._delta = b""
        self._has_called = False
        self._stop: dict[str, str | None] = {}

    def begin(self, usage: Usage) -> bytes:
        message = _message(self._id, self._model, [], None, None, usage)
        return _event("message_start", {"message": message})

    def part(self, row: int, part: Part) -> bytes:
        del row
        match part:
            case Content(text):
                return self._in_text(text)
            case Reasoning(text):
                begun = b"" if self._open is Reasoning else self._begin_thinking()
                return b"".join((begun, self._delta, encode(text), b"}}\n\n"))
            case FunctionCall():
                block = _call_block(part)
                return self._in_text(block["text"]) if block["type"] == "text" else self._call(block)

    def end(self, row: int, ending: Ending) -> bytes:
        del row
        reason, stop = _stop_reason(ending, has_called=self._has_called)
        self._stop = {"stop_reason": reason, "stop_sequence": stop}
        return self._close()

    def finish(self, usage: Usage) -> bytes:
        delta = _event("message_delta", {"delta": self._stop, "usage": _usage_json(usage)})
        return delta + _event("message_stop", {})

    def _in_text(self, text: str) -> bytes:
        begun = b"" if self._open is Content else self._begin_text()
        return b"".join((begun, self._delta, encode(text), b"}}\n\n"))

    def _begin_text(self) -> bytes:
        begun = self._begin(Content, {"type": "text", "text": ""})
        self._delta = self._delta_head("text_delta", "text")
        return begun

    def _begin_thinking(self) -> bytes:
        begun = self._begin(Reasoning, {"type": "thinking", "thinking": "", "signature": ""})
        self._delta = self._delta_head("thinking_delta", "thinking")
        return begun

    def _call(self, block: dict[str, Any]) -> bytes:
        begun = self._begin(FunctionCall, {**block, "input": {}})
        self._has_called = True
        arguments = encode(encode(block["input"]).decode())
        delta = self._delta_head("input_json_delta", "partial_json") + arguments + b"}}\n\n"
        return begun + delta + self._close()

    def _begin(self, kind: type[Part], block: dict[str, Any]) -> bytes:
        closed = self._close()
        self._open = kind
        return closed + _event("content_block_start", {"index": self._blocks, "content_block": block})

    def _close(self) -> bytes:
        if self._open is None:
            return b""
        signature = b""
        if self._open is Reasoning:
            signature = self._delta_head("signature_delta", "signature") + b'""}}\n\n'
        closed = signature + _event("content_block_stop", {"index": self._blocks})
        self._open = None
        self._blocks += 1
        return closed

    def _delta_head(self, kind: str, field: str) -> bytes:
        """Of an event, up to the text."""
        return (
            f'event: content_block_delta\ndata: {{"type":"content_block_delta","index":{self._blocks},'
            f'"delta":{{"type":"{kind}","{field}":'
        ).encode()


def whole_message(message_id: str, model: str, answered: Answered) -> bytes:
    (ending,) = answered.rows
    blocks: list[dict[str, Any]] = []
    for part in ending.parts:
        block = _block(part)
        if block["type"] == "text" and blocks and blocks[-1]["type"] == "text":
            blocks[-1]["text"] += block["text"]
        else:
            blocks.append(block)
    has_called = any(block["type"] == "tool_use" for block in blocks)
    reason, stop = _stop_reason(ending, has_called=has_called)
    return encode(_message(message_id, model, blocks, reason, stop, answered.usage))


def token_count(tokens: int) -> bytes:
    return encode({"input_tokens": tokens})


def _message(
    message_id: str,
    model: str,
    blocks: list[dict[str, Any]],
    reason: StopReason | None,
    stop: str | None,
    usage: Usage,
) -> dict[str, Any]:
    return {
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": blocks,
        "stop_reason": reason,
        "stop_sequence": stop,
        "usage": _usage_json(usage),
    }


def _block(part: Part) -> dict[str, Any]:
    match part:
        case Content(text):
            return {"type": "text", "text": text}
        case Reasoning(text):
            return {"type": "thinking", "thinking": text, "signature": ""}
        case FunctionCall():
            return _call_block(part)


def _call_block(call: FunctionCall) -> dict[str, Any]:
    """Text where the arguments are no object: a tool_use has to have one, and nothing may be lost."""
    try:
        arguments: Any = msgspec.json.decode(call.arguments or "{}")
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        arguments = call.arguments
    if not isinstance(arguments, dict):
        return {"type": "text", "text": encode({"name": call.name, "arguments": arguments}).decode()}
    call_id = f"toolu_{call.id.removeprefix('call_')}"
    return {"type": "tool_use", "id": call_id, "name": call.name, "input": arguments}


def _stop_reason(ending: Ending, *, has_called: bool) -> tuple[StopReason, str | None]:
    if ending.finish == "tool_calls" and has_called:
        return "tool_use", None
    if ending.finish == "length":
        return "max_tokens", None
    return ("end_turn", None) if ending.stop is None else ("stop_sequence", ending.stop)


def _usage_json(usage: Usage) -> dict[str, int]:
    """Anthropic's input_tokens are those that no cache had."""
    return {
        "input_tokens": usage.prompt_tokens - usage.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.completion_tokens,
    }


def _event(kind: str, payload: dict[str, Any]) -> bytes:
    return typed_event(kind, encode({"type": kind, **payload}))
