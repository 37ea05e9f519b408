"""Anthropic's requests become chat requests; errors and silences are told as its clients expect."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from mlxhub.errors import (
    GroupFull,
    InsufficientMemory,
    LoadFailed,
    LoadNotBegun,
    MlxhubError,
    UnknownModel,
    WorkerSilent,
)
from mlxhub.protocol.anthropic.answers import PING
from mlxhub.protocol.anthropic.errors import anthropic_error, anthropic_error_event
from mlxhub.protocol.anthropic.messages import Conversation, MessagesRequest
from mlxhub.protocol.anthropic.translation import chat_of_conversation, chat_of_messages
from mlxhub.protocol.dialects import broken_off
from mlxhub.protocol.errors import error_envelope, http_error
from mlxhub.protocol.openai.chat import ChatRequest
from mlxhub.refusals import (
    ContextOverflow,
    Draining,
    GenerationFailed,
    InvalidRequest,
    KeyMissing,
    KeyTooWeak,
    QueueFull,
    QueueTimeout,
    RequestTimeout,
    RequestTooLarge,
    ThreadUnsupported,
)
from tests.events import typed_events

USER = {"role": "user", "content": "x"}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}}
CALLED = {"id": "toolu_1", "type": "function", "function": {"name": "f", "arguments": {"a": 1}}}


def chat(**fields: Any) -> ChatRequest:
    sent = {"model": "m", "max_tokens": 5, "messages": [USER], **fields}
    return chat_of_messages(MessagesRequest.model_validate_json(json.dumps(sent)))


def text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def result(content: Any, **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": "toolu_1", "content": content, **more}


CONVERSATIONS: dict[str, tuple[list[Any], list[Any]]] = {
    "a text": ([USER], [{"role": "user", "content": "x"}]),
    "texts": (
        [{"role": "user", "content": [text("a"), text("b")]}],
        [{"role": "user", "content": "a\nb"}],
    ),
    "nothing": ([{"role": "user", "content": []}], [{"role": "user", "content": ""}]),
    "a word of the system between them": (
        [USER, {"role": "system", "content": [text("a"), text("b")]}, USER],
        [
            {"role": "user", "content": "x"},
            {"role": "system", "content": "a\nb"},
            {"role": "user", "content": "x"},
        ],
    ),
    "neighbours of one role": (
        [USER, {"role": "user", "content": [text("y")]}],
        [{"role": "user", "content": "x\ny"}],
    ),
    "thoughts and calls": (
        [
            USER,
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "abc"},
                    {"type": "redacted_thinking", "data": "secret"},
                    text("Well."),
                    CALL,
                ],
            },
            {"role": "user", "content": [result("21"), text("so?")]},
        ],
        [
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": "Well.", "tool_calls": [CALLED], "reasoning_content": "hm"},
            {"role": "tool", "tool_call_id": "toolu_1", "content": "21"},
            {"role": "user", "content": "so?"},
        ],
    ),
    "results of every form": (
        [
            USER,
            {"role": "assistant", "content": [CALL]},
            {
                "role": "user",
                "content": [result(None), result([text("a"), text("b")]), result("no", is_error=True)],
            },
        ],
        [
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": "", "tool_calls": [CALLED]},
            {"role": "tool", "tool_call_id": "toolu_1", "content": ""},
            {"role": "tool", "tool_call_id": "toolu_1", "content": "a\nb"},
            {"role": "tool", "tool_call_id": "toolu_1", "content": "Error: no"},
        ],
    ),
}


@pytest.mark.parametrize("case", CONVERSATIONS)
def test_messages_become_those_of_a_chat(case: str) -> None:
    sent, expected = CONVERSATIONS[case]
    assert list(chat(messages=sent).template_messages()) == expected


@pytest.mark.parametrize("system", ["a\nb", [text("a"), {**text("b"), "cache_control": {}}]])
def test_the_system_prompt_is_the_first_message(system: Any) -> None:
    assert chat(system=system).template_messages()[0] == {"role": "system", "content": "a\nb"}


def test_options_become_those_of_a_chat() -> None:
    asked = chat(temperature=0.5, top_p=0.9, top_k=3, stop_sequences=["a", "b"], stream=True)
    assert (asked.temperature, asked.top_p, asked.top_k) == (0.5, 0.9, 3)
    assert (asked.stops, asked.stream, asked.answer_limit) == (("a", "b"), True, 5)
    assert chat().parallel_tool_calls is True


def test_tools_and_choices_become_those_of_a_chat() -> None:
    tool = {"name": "f", "description": "d", "input_schema": {"type": "object"}, "cache_control": {}}
    function = {"name": "f", "description": "d", "parameters": {"type": "object"}}
    assert chat(tools=[{**tool, "type": "custom"}]).template_tools() == (
        {"type": "function", "function": function},
    )
    for sent, expected in (
        ({"type": "auto"}, "auto"),
        ({"type": "none"}, "none"),
        ({"type": "any"}, "required"),
        ({"type": "tool", "name": "f"}, {"type": "function", "function": {"name": "f"}}),
    ):
        asked = chat(tools=[tool], tool_choice={**sent, "disable_parallel_tool_use": True})
        assert (asked.model_dump()["tool_choice"], asked.parallel_tool_calls) == (expected, False)


def test_to_continue_the_assistant_is_refused_and_to_count_it_is_not() -> None:
    messages = [USER, {"role": "assistant", "content": "Once"}]
    with pytest.raises(InvalidRequest, match="must be the user's"):
        chat(messages=messages)
    asked = Conversation.model_validate({"model": "m", "messages": messages})
    assert chat_of_conversation(asked).messages[-1].content == "Once"


def test_a_role_takes_only_its_own_blocks() -> None:
    for role, block in (("user", CALL), ("assistant", result("x"))):
        with pytest.raises(ValidationError, match="only blocks of type"):
            chat(messages=[{"role": role, "content": [block]}])


ERRORS: list[tuple[MlxhubError, str]] = [
    (InvalidRequest("x"), "invalid_request_error"),
    (ContextOverflow(9, 5), "invalid_request_error"),
    (KeyMissing("api"), "authentication_error"),
    (KeyTooWeak(), "permission_error"),
    (UnknownModel("x", ("m",)), "not_found_error"),
    (RequestTooLarge(5), "request_too_large"),
    (QueueFull(1), "rate_limit_error"),
    (QueueTimeout(1), "overloaded_error"),
    (Draining(), "overloaded_error"),
    (GroupFull("m", "g", 1, ("n",)), "rate_limit_error"),
    (InsufficientMemory("m", 2, 1, {}, "x"), "overloaded_error"),
    (LoadNotBegun("m", "x"), "overloaded_error"),
    (RequestTimeout(1), "timeout_error"),
    (LoadFailed("m", "x"), "api_error"),
    (GenerationFailed("x"), "api_error"),
]


@pytest.mark.parametrize(("error", "kind"), ERRORS, ids=[kind for _, kind in ERRORS])
def test_errors_have_anthropics_types(error: MlxhubError, kind: str) -> None:
    said = anthropic_error(error_envelope(error), http_error(error).status, "req_1").model_dump()
    assert said == {
        "type": "error",
        "error": {"type": kind, "message": str(error)},
        "request_id": "req_1",
    }


def test_a_client_is_told_that_it_may_go_on_without_a_thread() -> None:
    said = anthropic_error(error_envelope(ThreadUnsupported()), 400, "req_1").model_dump()
    assert said["error"]["type"] == "invalid_request_error"
    assert said["error"]["details"] == {"error_code": "thread_unsupported_request"}


def test_events_have_names() -> None:
    (ping,) = typed_events(PING.decode())
    assert ping == {"type": "ping"}
    silent = WorkerSilent("m", "it ended.")
    for event in (anthropic_error_event(silent, "req_1"), broken_off("/v1/messages", silent, "req_1")):
        (error,) = typed_events(event.decode())
        assert (error["error"]["type"], error["request_id"]) == ("api_error", "req_1")
