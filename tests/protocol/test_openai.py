"""What is sent has OpenAI's shape; what is received becomes what chat templates expect."""

import json
from typing import Any

import pytest
from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import ValidationError

from mlxhub.core.constraint import CallableTool, JsonText, ToolCalls
from mlxhub.protocol import sse
from mlxhub.protocol.openai.answers import (
    ChatWriter,
    ChunkWriter,
    Header,
    chat_completion,
    text_choice,
    whole_answer,
)
from mlxhub.protocol.openai.chat import ChatRequest
from mlxhub.protocol.openai.completions import CompletionRequest
from mlxhub.protocol.parts import Answered, Content, Ending, FunctionCall, Reasoning, Usage
from mlxhub.refusals import InvalidRequest, QueueFull

HEADER = Header("id-1", 1_700_000_000, 'a "quoted" model')
CALL = FunctionCall("call_1", "f", '{"a": 1}')
SCHEMA = {"type": "integer"}
CALL_F = CallableTool("f", '{"type":"object"}', param="tools[0]")
CALL_G = CallableTool("g", '{"type":"object"}', is_strict=True, param="tools[1]")


def function(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **more}}


def allowed(mode: str, name: str) -> dict[str, Any]:
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": [function(name)]}}


def payload(event: bytes) -> dict[str, Any]:
    assert event.startswith(b"data: ")
    assert event.endswith(b"\n\n")
    assert event.count(b"\n") == 2
    decoded: dict[str, Any] = json.loads(event[6:])
    return decoded


@pytest.mark.parametrize("include_usage", [True, False])
def test_chunks_are_openais(include_usage: bool) -> None:
    writer = ChatWriter(HEADER, 1, include_usage=include_usage)
    events = [
        writer.begin(Usage(3, 0)),
        writer.part(3, Content('line\n\ndata: [DONE] "quoted" \u2028 🦊')),
        writer.part(0, CALL),
        writer.end(0, Ending((), "tool_calls")),
    ]
    chunks = [ChatCompletionChunk.model_validate(payload(event), strict=True) for event in events]
    assert chunks[1].choices[0].index == 3
    assert chunks[1].choices[0].delta.content == 'line\n\ndata: [DONE] "quoted" \u2028 🦊'
    assert chunks[3].choices[0].finish_reason == "tool_calls"
    assert {chunk.model for chunk in chunks} == {'a "quoted" model'}
    assert all(("usage" in payload(event)) == include_usage for event in events)
    chunks_with_usage = ChunkWriter(HEADER, "chat.completion.chunk", include_usage=include_usage)
    usage = ChatCompletionChunk.model_validate(payload(chunks_with_usage.usage(Usage(3, 4))), strict=True)
    assert usage.choices == []
    assert usage.usage is not None
    assert usage.usage.total_tokens == 7


def test_whole_answers_are_openais() -> None:
    rows = [Ending((Reasoning("hm"), Content("hi")), "stop"), Ending((CALL,), "tool_calls")]
    answer = ChatCompletion.model_validate_json(
        chat_completion(HEADER, Answered(rows, Usage(1, 2))), strict=True
    )
    assert answer.choices[0].message.content == "hi"
    assert answer.choices[1].message.content is None
    assert answer.choices[1].message.tool_calls is not None
    text = whole_answer(HEADER, "text_completion", [text_choice(0, "hi", (), "length")], Usage(1, 2))
    assert Completion.model_validate_json(text, strict=True).choices[0].finish_reason == "length"


def test_an_error_event_is_the_envelope() -> None:
    assert payload(sse.error_event(QueueFull(3)))["error"]["code"] == "queue_full"


def chat(**fields: Any) -> ChatRequest:
    return ChatRequest.model_validate(
        {"model": "m", "messages": [{"role": "user", "content": "x"}], **fields}
    )


def test_messages_become_what_templates_expect() -> None:
    request = chat(
        messages=[
            {"role": "developer", "content": "be brief"},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}},
                    {"id": "2", "type": "function", "function": {"name": "g", "arguments": "broken"}},
                ],
            },
            {"role": "tool", "tool_call_id": "1", "content": "ok"},
        ]
    )
    assert request.template_messages() == (
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "a\nb"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "f", "arguments": {"a": 1}}},
                {"id": "2", "type": "function", "function": {"name": "g", "arguments": "broken"}},
            ],
        },
        {"role": "tool", "content": "ok", "tool_call_id": "1"},
    )


def test_other_parts_than_text_are_refused() -> None:
    request = chat(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}])
    with pytest.raises(InvalidRequest) as refused:
        request.template_messages()
    assert refused.value.param == "messages[0].content"


def test_tools_keep_everything_a_template_may_show() -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, "strict": True}}
    assert chat(tools=[tool]).template_tools() == (tool,)
    assert chat(tools=[tool], tool_choice="none").template_tools() == ()


def test_max_completion_tokens_goes_before_max_tokens() -> None:
    assert chat(max_tokens=5, max_completion_tokens=7).answer_limit == 7
    assert chat(max_tokens=5).answer_limit == 5


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [("a", ["a"]), (["a", "b"], ["a", "b"]), ([1, 2], [[1, 2]]), ([[1], [2, 3]], [[1], [2, 3]])],
)
def test_prompts_of_every_form(prompt: Any, expected: list[Any]) -> None:
    assert CompletionRequest.model_validate({"model": "m", "prompt": prompt}).prompts == expected


@pytest.mark.parametrize(
    ("fields", "shown", "constraint"),
    [
        ({}, ["f", "g"], None),
        ({"tool_choice": "auto", "parallel_tool_calls": False}, ["f", "g"], None),
        ({"tool_choice": "none"}, [], None),
        ({"tool_choice": "required"}, ["f", "g"], ToolCalls((CALL_F, CALL_G))),
        ({"tool_choice": function("g")}, ["f", "g"], ToolCalls((CALL_G,))),
        (
            {"tool_choice": "required", "parallel_tool_calls": False},
            ["f", "g"],
            ToolCalls((CALL_F, CALL_G), at_most_one=True),
        ),
        ({"tool_choice": allowed("auto", "g")}, ["g"], None),
        ({"tool_choice": allowed("required", "g")}, ["f", "g"], ToolCalls((CALL_G,))),
        ({"response_format": {"type": "text"}}, ["f", "g"], None),
        (
            {"response_format": {"type": "json_object"}, "tool_choice": "none"},
            [],
            JsonText('{"type":"object"}'),
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}},
            ["f", "g"],
            JsonText('{"type":"integer"}', ToolCalls((CALL_F, CALL_G))),
        ),
    ],
)
def test_what_an_answer_must_be_like(fields: dict[str, Any], shown: list[str], constraint: object) -> None:
    request = chat(tools=[function("f"), function("g", strict=True)], **fields)
    assert [tool["function"]["name"] for tool in request.template_tools()] == shown
    assert request.constraint == constraint


def test_names_of_tools_have_a_limit() -> None:
    assert chat(tools=[function("x" * 200)]).tools is not None
    with pytest.raises(ValidationError):
        chat(tools=[function("x" * 201)])
