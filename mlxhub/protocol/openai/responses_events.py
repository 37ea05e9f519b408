"""A response as typed events, built as bytes, since there is one per token."""

import re
from typing import Any

import msgspec

from mlxhub.errors import MlxhubError
from mlxhub.protocol.errors import error_envelope
from mlxhub.protocol.openai.logprobs import response_logprobs
from mlxhub.protocol.openai.responses_answers import (
    JsonObject,
    ResponseHead,
    Status,
    call_item,
    message_item,
    new_id,
    output_text,
    reasoning_item,
    reasoning_text,
    status_of,
)
from mlxhub.protocol.parts import Content, Ending, FunctionCall, Part, Reasoning, SampledLogprob, Usage
from mlxhub.protocol.sse import typed_event

encode = msgspec.json.encode
_TEXT_EVENTS: dict[type[Part], str] = {
    Content: "response.output_text",
    Reasoning: "response.reasoning_text",
}
# In a JSON text the quote before the colon would be escaped, so that no model's words are taken for it.
_SEQUENCE_NUMBER = re.compile(rb'"sequence_number":(\d{1,9})[,}]')


class ResponseWriter:
    """An AnswerWriter of one response. Its items come one after the other, each begun and ended.

    Only logprobs of the answer's text are told: not those of thoughts, calls, and marks around them.
    """

    def __init__(self, head: ResponseHead) -> None:
        self._head = head
        self._sequence = 0
        self._begun = False
        self._output: list[JsonObject] = []
        self._open: type[Part] | None = None
        self._item_id = ""
        self._texts: list[str] = []
        self._logprobs: list[SampledLogprob] = []
        # Of tokens that are text of the answer if more of it follows, and may yet turn out to be a mark.
        self._held_logprobs: tuple[SampledLogprob, ...] = ()
        self._delta = b""
        self._status: Status = "completed"

    def begin(self, usage: Usage) -> bytes:
        del usage
        return b"" if self._begun else self._begin()

    def part(self, row: int, part: Part) -> bytes:
        del row
        held, self._held_logprobs = self._held_logprobs, ()
        match part:
            case Content(text="", logprobs=logprobs):
                self._held_logprobs = held + logprobs
                return b""
            case Reasoning(text=""):
                return b""
            case Content(text, logprobs):
                return self._text(Content, text, held + logprobs)
            case Reasoning(text):
                return self._text(Reasoning, text, ())
            case FunctionCall():
                return self._close("completed") + self._call(part)

    def end(self, row: int, ending: Ending) -> bytes:
        del row
        self._status = status_of(ending.finish)
        return self._close(self._status)

    def finish(self, usage: Usage) -> bytes:
        response = self._head.over(self._status, self._output, usage)
        return self._event(f"response.{self._status}", {"response": response})

    def keepalive(self) -> bytes:
        """In a silence before the first part the response itself is told of: clients expect that first."""
        return self._event("keepalive", {}) if self._begun else self._begin()

    def error(self, error: MlxhubError) -> bytes:
        begun = b"" if self._begun else self._begin()
        self._sequence += 1
        said = response_error_event(error, self._sequence - 1)
        failed = self._head.response("failed", self._output, error=error)
        return begun + said + self._event("response.failed", {"response": failed})

    def _begin(self) -> bytes:
        self._begun = True
        response = self._head.response("in_progress")
        created = self._event("response.created", {"response": response})
        return created + self._event("response.in_progress", {"response": response})

    def _text(self, kind: type[Part], text: str, logprobs: tuple[SampledLogprob, ...]) -> bytes:
        begun = b"" if self._open is kind else self._begin_item(kind)
        self._texts.append(text)
        self._logprobs += logprobs
        told = b',"logprobs":' + encode(response_logprobs(logprobs)) if kind is Content else b""
        self._sequence += 1
        end = b',"sequence_number":%d}\n\n' % (self._sequence - 1)
        return b"".join((begun, self._delta, encode(text), told, end))

    def _begin_item(self, kind: type[Part]) -> bytes:
        closed = self._close("completed")
        self._open = kind
        self._item_id = new_id("msg" if kind is Content else "rs")
        self._texts = []
        self._logprobs = []
        added = self._event(
            "response.output_item.added",
            {"output_index": len(self._output), "item": self._item(kind, "in_progress", None)},
        )
        part = self._event("response.content_part.added", {**self._place(), "part": self._part(kind, "")})
        self._delta = self._delta_head(f"{_TEXT_EVENTS[kind]}.delta")
        return closed + added + part

    def _close(self, status: Status) -> bytes:
        if self._open is None:
            return b""
        kind, self._open = self._open, None
        text = "".join(self._texts)
        place = self._place()
        logprobs = {"logprobs": response_logprobs(self._logprobs)} if kind is Content else {}
        item = self._item(kind, status, text)
        closed = b"".join(
            (
                self._event(f"{_TEXT_EVENTS[kind]}.done", {**place, "text": text, **logprobs}),
                self._event("response.content_part.done", {**place, "part": self._part(kind, text)}),
                self._event("response.output_item.done", {"output_index": len(self._output), "item": item}),
            )
        )
        self._output.append(item)
        return closed

    def _call(self, call: FunctionCall) -> bytes:
        item_id = new_id("fc")
        index = {"output_index": len(self._output)}
        place = {"item_id": item_id, **index}
        kind = "response.function_call_arguments"
        item = call_item(item_id, "completed", call, call.arguments)
        events = (
            ("response.output_item.added", {**index, "item": call_item(item_id, "in_progress", call, "")}),
            (f"{kind}.delta", {**place, "delta": call.arguments}),
            (f"{kind}.done", {**place, "name": call.name, "arguments": call.arguments}),
            ("response.output_item.done", {**index, "item": item}),
        )
        self._output.append(item)
        return b"".join(self._event(name, payload) for name, payload in events)

    def _item(self, kind: type[Part], status: Status, text: str | None) -> JsonObject:
        if kind is Content:
            return message_item(self._item_id, status, text, self._logprobs)
        return reasoning_item(self._item_id, status, text)

    def _part(self, kind: type[Part], text: str) -> JsonObject:
        return output_text(text, self._logprobs) if kind is Content else reasoning_text(text)

    def _place(self) -> JsonObject:
        return {"item_id": self._item_id, "output_index": len(self._output), "content_index": 0}

    def _delta_head(self, kind: str) -> bytes:
        """Of an event, up to the text."""
        payload = encode({"type": kind, **self._place()})
        return b"event: " + kind.encode() + b"\ndata: " + payload[:-1] + b',"delta":'

    def _event(self, kind: str, payload: dict[str, Any]) -> bytes:
        self._sequence += 1
        return typed_event(kind, encode({"type": kind, "sequence_number": self._sequence - 1, **payload}))


def response_error_event(error: MlxhubError, sequence_number: int) -> bytes:
    said = error_envelope(error).error
    payload = {
        "type": "error",
        "sequence_number": sequence_number,
        "code": said.code,
        "message": said.message,
        "param": said.param,
    }
    return typed_event("error", encode(payload))


def next_sequence_number(said: bytes) -> int:
    """After the last event in what was said last; 0 where no event with a number is in it."""
    for event in reversed(said.split(b"\n\n")):
        # What a response repeats of its request comes after its own number.
        if found := _SEQUENCE_NUMBER.search(event):
            return int(found[1]) + 1
    return 0
