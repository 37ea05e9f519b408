"""The built-in demo models through real workers: what they were taught, word for word, whole and streamed."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from typing import Any

import pytest

from mlxhub.demo import MODEL_REFERENCE
from mlxhub.demo.golden import GOLDEN, STOP_TEXT, UNICODE_TEXT, Golden, ToolCall, counted
from tests.demo.asked import CASES, IDS
from tests.worker.processes import Worker, running_worker


@pytest.fixture(scope="module")
def serve() -> Iterator[Callable[[str], Worker]]:
    """A worker of each built-in model that is asked for."""
    with ExitStack() as workers:
        yield cache(
            lambda reference: workers.enter_context(running_worker(model_path=reference, preload=True))
        )


@pytest.fixture(scope="module")
def demo(serve: Callable[[str], Worker]) -> Worker:
    return serve(MODEL_REFERENCE)


def ask(worker: Worker, golden: Golden) -> Any:
    options: dict[str, Any] = {"tools": golden.tools} if golden.tools else {}
    with worker.openai as client:
        return client.chat.completions.create(
            model="m",
            messages=[wire(message) for message in golden.messages],
            extra_body={"chat_template_kwargs": {"enable_thinking": golden.thought != ""}},
            **options,
        )


def wire(message: Any) -> Any:
    """As clients send it: arguments of earlier calls are JSON text."""
    if "tool_calls" not in message:
        return message
    calls = [
        {**call, "function": {**call["function"], "arguments": json.dumps(call["function"]["arguments"])}}
        for call in message["tool_calls"]
    ]
    return {**message, "content": None, "tool_calls": calls}


@pytest.mark.parametrize(("reference", "golden"), CASES, ids=IDS)
def test_a_demo_answers_word_for_word(serve: Callable[[str], Worker], reference: str, golden: Golden) -> None:
    (choice,) = ask(serve(reference), golden).choices
    assert choice.message.to_dict().get("reasoning_content", "") == golden.thought
    if isinstance(golden.expected, ToolCall):
        (call,) = choice.message.tool_calls
        assert (call.function.name, json.loads(call.function.arguments)) == (
            golden.expected.name,
            golden.expected.arguments,
        )
        assert choice.finish_reason == "tool_calls"
        assert choice.message.content is None
    else:
        assert (choice.message.content, choice.finish_reason) == (golden.expected, "stop")


def streamed(demo: Worker, text: str, **options: Any) -> list[Any]:
    messages: Any = [{"role": "user", "content": text}]
    return list(demo.openai.chat.completions.create(model="m", messages=messages, stream=True, **options))


def test_unicode_arrives_whole_in_every_chunk(demo: Worker) -> None:
    pieces = [chunk.choices[0].delta.content or "" for chunk in streamed(demo, "unicode")]
    assert "".join(pieces) == UNICODE_TEXT
    assert not any("\ufffd" in piece for piece in pieces)


def test_a_stop_string_in_the_middle_of_words(demo: Worker) -> None:
    chunks = streamed(demo, "ab stop", stop=["ta STO"])
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == STOP_TEXT.split("ta STO")[0]
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_a_tool_call_is_streamed_as_one_delta_and_never_as_text(demo: Worker) -> None:
    golden = next(golden for golden in GOLDEN if isinstance(golden.expected, ToolCall))
    chunks = streamed(demo, str(golden.messages[0]["content"]), tools=golden.tools)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == ""
    (call,) = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]
    assert (call.index, call.function.name) == (0, "get_weather")
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_tool_choice_none_and_text_parts(demo: Worker) -> None:
    parts: Any = [{"role": "user", "content": [{"type": "text", "text": "count to 7"}]}]
    answer = demo.openai.chat.completions.create(
        model="m", messages=parts, tools=GOLDEN[-1].tools, tool_choice="none"
    )
    assert answer.choices[0].message.content == counted(7)
