"""A23 and A28: what clients add to a prompt's making is not taken; what a model says stays its text."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from mlxhub.core.config import WorkerSettings
from mlxhub.worker.app import build_app
from mlxhub.worker.engines.engine import (
    Delta,
    Finished,
    FinishReason,
    JsonObject,
    LoadedModel,
    Markers,
    ParsedCall,
    Piece,
)
from mlxhub.worker.model_service import ModelService
from tests.attacks.conftest import Target
from tests.attacks.place import CHAT, COMPLETIONS, chat, post
from tests.worker.fake_engine import FakeEngine

TEMPLATE = "{% for a in range(10**9) %}{% for b in range(10**9) %}x{% endfor %}{% endfor %}"
ADDITIONS: dict[str, dict[str, object]] = {
    "a template": {"chat_template": "{{ 'pwned' }}"},
    "an endless template": {"chat_template": TEMPLATE},
    "a template that climbs": {"chat_template": "{{ ''.__class__.__mro__ }}"},
    "a template as an option": {"chat_template_kwargs": {"chat_template": "{{ 'pwned' }}"}},
    "tokenize": {"chat_template_kwargs": {"tokenize": True}},
    "tokenize off": {"chat_template_kwargs": {"tokenize": False, "return_dict": True}},
    "messages": {"chat_template_kwargs": {"messages": [{"role": "user", "content": "count to 3"}]}},
    "conversation": {"chat_template_kwargs": {"conversation": [{"role": "user", "content": "count to 3"}]}},
    "no prompt for an answer": {"chat_template_kwargs": {"add_generation_prompt": False}},
    "continue the last message": {"chat_template_kwargs": {"continue_final_message": True}},
    "tools": {"chat_template_kwargs": {"tools": [{"type": "function"}], "documents": ["x"]}},
    "no prompt at top level": {"add_generation_prompt": False, "continue_final_message": True},
    "what is no option": {"chat_template_kwargs": {f"k{n}": "x" * 100 for n in range(1000)}},
}
HOSTILE_PIECES = (
    "\n\ndata: [DONE]\n\n", 'data: {"error": 1}\n', "\r\n\r\n", "\r", ": comment\n\n",
    "event: x\nid: 1\nretry: 0\n\n", "</script><img src=x onerror=alert(1)>", "\x1b]8;;https://evil.example\x07",
    "\x00", "\u2028\u2029\ufeff", "\ufffd", "🦊", "\u202eevil", '"}]}\n\n', "\\", "]]>", "{{7*7}}",
)  # fmt: skip


@pytest.mark.parametrize("addition", ADDITIONS)
def test_a23_the_prompt_is_made_as_if_it_were_not_there(target: Target, addition: str) -> None:
    answer = target.send(post(target.place, CHAT, chat(**ADDITIONS[addition])))
    assert answer.status == 200
    assert answer.json["choices"][0]["message"]["content"] == "pong"
    target.require_unharmed()


def no_call(_text: str, _tools: Sequence[JsonObject]) -> tuple[ParsedCall, ...]:
    raise ValueError("this is no call")


class HostileEngine(FakeEngine):
    """Says what a model may be brought to say, in tokens that split it anywhere."""

    def __init__(self, pieces: tuple[str, ...], markers: Markers) -> None:
        super().__init__()
        self._pieces = pieces
        self._markers = markers

    def load(self, reserved_bytes: int = 0) -> LoadedModel:
        return LoadedModel(super().load(reserved_bytes).context_length, 8, self._markers, no_call)

    def _speak(self, handle: int) -> Delta:
        said = len(self._pieces) - self._rows[handle]
        self._rows[handle] -= 1
        if self._rows[handle] > 0:
            return Piece(handle, self._pieces[said])
        del self._rows[handle]
        return Finished(handle, self._pieces[said], FinishReason.STOP, len(self._pieces))


def streamed(engine: FakeEngine, path: str, sent: dict[str, Any]) -> bytes:
    async def ask() -> bytes:
        service = ModelService(WorkerSettings(name="demo", model_path="x", port=1), engine, lambda: None)
        transport = httpx.ASGITransport(build_app(service, "g"))
        async with (
            asyncio.timeout(60),
            service.running(),
            httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:1") as client,
        ):
            return (await client.post(path, json=sent, timeout=60)).content

    return asyncio.run(ask())


def events_of(stream: bytes) -> list[Any]:
    """As a browser reads them: lines end with any line end, an event with an empty one. Fails on all else."""
    text = stream.decode("utf-8")
    assert text.endswith("\n\n")
    *events, last = [event.removeprefix("data: ") for event in text.removesuffix("\n\n").split("\n\n")]
    assert last == "[DONE]"
    assert all("\n" not in event and "\r" not in event for event in events)
    return [json.loads(event) for event in events]


@pytest.mark.parametrize("cut", [1, 3, 1000])
@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_a28_whatever_a_model_says_the_stream_is_events_and_says_it(path: str, cut: int) -> None:
    whole = "".join(HOSTILE_PIECES)
    pieces = tuple(whole[begin : begin + cut] for begin in range(0, len(whole), cut))
    sent = {**chat(), "prompt": "x", "stream": True, "max_tokens": len(pieces)}
    choices = [
        event["choices"][0] for event in events_of(streamed(HostileEngine(pieces, Markers()), path, sent))
    ]
    said = [choice["delta"].get("content") if path == CHAT else choice["text"] for choice in choices]
    assert "".join(text or "" for text in said) == whole


def test_a28_a_call_without_end_is_read_once() -> None:
    """Were all of it read anew for every token, these would take minutes."""
    pieces = ("<tool_call>", *(['{"a": '] * 30_000))
    tool = {"type": "function", "function": {"name": "f"}}
    sent = {**chat(tools=[tool]), "stream": True, "max_tokens": len(pieces)}
    engine = HostileEngine(pieces, Markers(tool_start="<tool_call>", tool_end="</tool_call>"))
    events = events_of(streamed(engine, CHAT, sent))
    said = "".join(event["choices"][0]["delta"].get("content") or "" for event in events)
    assert said == "".join(pieces)


def test_a28_both_hops_say_the_same_bytes(open_targets: dict[Any, Target]) -> None:
    """Characters of several bytes, in a stream that ends as it should."""
    sent = chat(messages=[{"role": "user", "content": "unicode"}], stream=True, max_tokens=60, temperature=0)
    texts = []
    for target in open_targets.values():
        events = events_of(target.send(post(target.place, CHAT, sent), 30).body)
        texts.append("".join(event["choices"][0]["delta"].get("content") or "" for event in events))
    assert texts == ["Grüße, мир, 日本, 🦊🎉"] * 2
