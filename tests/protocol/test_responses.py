"""Requests for responses become chat requests; what is told in a silence is what clients can take."""

import json
from typing import Any

import httpx
import openai
import pytest
from openai.types.responses import Response

from mlxhub.errors import WorkerSilent
from mlxhub.protocol.dialects import broken_off
from mlxhub.protocol.openai.chat import ChatRequest
from mlxhub.protocol.openai.responses import ResponsesRequest
from mlxhub.protocol.openai.responses_answers import ResponseHead
from mlxhub.protocol.openai.responses_events import ResponseWriter
from mlxhub.protocol.openai.responses_translation import chat_of_response
from mlxhub.protocol.parts import Content, Ending, Usage
from mlxhub.refusals import QueueFull
from tests.events import kinds, typed_events

CALL = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": '{"a": 1}'}
CALLED = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": {"a": 1}}}
NAMED = {"type": "function", "function": {"name": "f"}}
OUTPUT = {"type": "function_call_output", "call_id": "call_1", "output": "21"}


def request(**fields: Any) -> ResponsesRequest:
    return ResponsesRequest.model_validate_json(json.dumps({"model": "m", "input": "x", **fields}))


def chat(**fields: Any) -> ChatRequest:
    return chat_of_response(request(**fields))


def said(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


def thought(text: str) -> dict[str, Any]:
    return {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": text}]}


INPUTS: dict[str, tuple[Any, list[Any]]] = {
    "a text": ("x", [said("user", "x")]),
    "messages": (
        [said("developer", "a"), said("user", [{"type": "input_text", "text": "b"}]), said("assistant", "c")],
        [said("system", "a"), said("user", "b"), said("assistant", "c")],
    ),
    "a call and its output": (
        [said("user", "x"), CALL, OUTPUT],
        [
            said("user", "x"),
            {**said("assistant", ""), "tool_calls": [CALLED]},
            {"role": "tool", "tool_call_id": "call_1", "content": "21"},
        ],
    ),
    "all of one turn is one message": (
        [said("user", "x"), thought("hm"), said("assistant", "Well."), CALL, CALL, OUTPUT],
        [
            said("user", "x"),
            {**said("assistant", "Well."), "tool_calls": [CALLED, CALLED], "reasoning_content": "hm"},
            {"role": "tool", "tool_call_id": "call_1", "content": "21"},
        ],
    ),
    "a thought before a call": (
        [thought("hm"), CALL],
        [{**said("assistant", ""), "tool_calls": [CALLED], "reasoning_content": "hm"}],
    ),
    "two thoughts": (
        [thought("a"), CALL, thought("b"), said("assistant", "c")],
        [
            {**said("assistant", ""), "tool_calls": [CALLED], "reasoning_content": "a"},
            {**said("assistant", "c"), "reasoning_content": "b"},
        ],
    ),
    "a summary, where there is no more": (
        [{"type": "reasoning", "summary": [{"type": "summary_text", "text": "s"}]}, said("assistant", "c")],
        [{**said("assistant", "c"), "reasoning_content": "s"}],
    ),
    "nothing thought": (
        [{"type": "reasoning", "summary": [], "encrypted_content": "x"}, said("user", "c")],
        [said("user", "c")],
    ),
}


@pytest.mark.parametrize("case", INPUTS)
def test_items_become_messages(case: str) -> None:
    sent, expected = INPUTS[case]
    assert list(chat(input=sent).template_messages()) == expected


def test_options_become_those_of_a_chat() -> None:
    asked = chat(
        instructions="be brief",
        max_output_tokens=5,
        temperature=0.5,
        top_p=0.9,
        parallel_tool_calls=False,
        stream=True,
        tools=[{"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True}],
        stop=["not a parameter here"],
    )
    assert asked.template_messages()[0] == said("system", "be brief")
    assert (asked.answer_limit, asked.temperature, asked.top_p, asked.stream) == (5, 0.5, 0.9, True)
    assert (asked.parallel_tool_calls, asked.stops) == (False, ())
    function = {"name": "f", "parameters": {"type": "object"}, "strict": True}
    assert asked.template_tools() == ({"type": "function", "function": function},)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (None, None),
        ("auto", "auto"),
        ("required", "required"),
        ({"type": "function", "name": "f"}, NAMED),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [NAMED]}},
        ),
    ],
)
def test_tool_choices_become_those_of_a_chat(sent: Any, expected: Any) -> None:
    assert chat(tool_choice=sent).model_dump()["tool_choice"] == expected


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (None, None),
        ({"type": "text"}, None),
        ({"type": "json_object"}, "json_object"),
        ({"type": "json_schema", "name": "n", "schema": {"type": "object"}}, "json_schema"),
    ],
)
def test_formats_become_those_of_a_chat(sent: Any, expected: Any) -> None:
    wanted = chat(text={"format": sent, "verbosity": "low"}).response_format
    assert (None if wanted is None else wanted.type) == expected


def writer() -> ResponseWriter:
    return ResponseWriter(ResponseHead("resp_1", 1_700_000_000, "m", request()))


def test_the_first_silence_begins_the_response_and_later_ones_are_counted() -> None:
    answer = writer()
    events = typed_events(
        b"".join(
            (
                answer.keepalive(),
                answer.keepalive(),
                answer.begin(Usage(1, 0)),
                answer.part(0, Content("a")),
                answer.keepalive(),
                answer.part(0, Content("b")),
                answer.end(0, Ending((), "stop")),
                answer.finish(Usage(1, 2)),
            )
        ).decode()
    )
    assert kinds(events)[:3] == ["response.created", "response.in_progress", "keepalive"]
    assert kinds(events).count("response.created") == 1
    assert [event["sequence_number"] for event in events] == [*range(len(events))]
    assert Response.model_validate(events[-1]["response"], strict=True).output_text == "ab"


def test_openais_client_takes_keepalives() -> None:
    answer = writer()
    silences = [answer.keepalive() for _ in range(3)]
    parts = (answer.part(0, Content("a")), answer.keepalive(), answer.part(0, Content("b")))
    ending = (answer.end(0, Ending((), "stop")), answer.finish(Usage(1, 2)))
    stream = b"".join((*silences, *parts, *ending))

    def answered(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=stream)

    http = httpx.Client(transport=httpx.MockTransport(answered))
    with openai.OpenAI(api_key="x", base_url="http://m/v1", http_client=http) as client:
        seen = [event.type for event in client.responses.create(model="m", input="x", stream=True)]
        assert "keepalive" in seen
        with client.responses.stream(model="m", input="x") as events:
            assert events.get_final_response().output_text == "ab"


def test_an_error_fails_the_response_begun_or_not() -> None:
    answer = writer()
    begun, progress, error, failed = typed_events(answer.error(QueueFull(1)).decode())
    assert kinds([begun, progress]) == ["response.created", "response.in_progress"]
    assert (error["code"], failed["response"]["error"]["code"]) == ("queue_full", "rate_limit_exceeded")


@pytest.mark.parametrize(
    ("said", "number"),
    [
        (b"", 0),
        (b'event: x\ndata: {"type":"x","sequence_number":4}\n\n', 5),
        (b'data: {"sequence_number":4}\n\ndata: {"sequence_number":5,"x":{"sequence_number":1}}\n\n', 6),
        (b'data: {"sequence_number":4}\n\ndata: {"delta":"a', 5),
        (b'data: {"delta":"\\"sequence_number\\":7}","sequence_number":8}\n\n', 9),
        (b'umber":4}\n\n', 0),
    ],
)
def test_an_answer_that_somebody_broke_off_is_counted_on(said: bytes, number: int) -> None:
    (silent,) = typed_events(broken_off("/v1/responses", WorkerSilent("m", "x"), None, said).decode())
    assert (silent["type"], silent["code"], silent["sequence_number"]) == ("error", "worker_silent", number)
