"""What is ignored of a request is told in a header; what is refused, and what is heeded only in part."""

from typing import Any

import pytest

from tests.worker.processes import Worker

HELLO = [{"role": "user", "content": "hello"}]
CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
GOOD: dict[str, dict[str, Any]] = {
    CHAT: {"messages": HELLO, "max_tokens": 2},
    COMPLETIONS: {"prompt": "hello", "max_tokens": 2},
    "/v1/responses": {"input": "hello", "max_output_tokens": 2},
    "/v1/messages": {"messages": HELLO, "max_tokens": 2},
    "/v1/messages/count_tokens": {"messages": HELLO},
}
IGNORED: list[tuple[str, dict[str, Any], str]] = [
    (CHAT, {"user": "me", "service_tier": "flex", "store": False}, "user, service_tier"),
    (COMPLETIONS, {"user": "me"}, "user"),
    (
        "/v1/responses",
        {"truncation": "auto", "reasoning": {"summary": "auto"}},
        "reasoning.summary, truncation",
    ),
    ("/v1/messages", {"metadata": {"user_id": "me"}, "speed": "fast"}, "speed, metadata"),
    ("/v1/messages/count_tokens", {"cache_control": {"type": "ephemeral"}}, "cache_control"),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("path", "fields", "named"), IGNORED, ids=[path for path, _, _ in IGNORED])
def test_what_is_ignored_is_named(
    worker: Worker, path: str, fields: dict[str, Any], named: str, stream: bool
) -> None:
    body = {"model": "m", "stream": stream, **GOOD[path]}
    told, untold = worker.post(path, {**body, **fields}), worker.post(path, body)
    assert (told.status_code, told.headers["x-mlxhub-ignored"]) == (200, named)
    assert (untold.status_code, untold.headers.get("x-mlxhub-ignored")) == (200, None)


@pytest.mark.parametrize(
    ("path", "fields", "param"),
    [
        (CHAT, {"modalities": ["text", "audio"]}, "modalities"),
        (CHAT, {"functions": [{"name": "f"}]}, "functions"),
        (COMPLETIONS, {"suffix": "x"}, "suffix"),
        (COMPLETIONS, {"best_of": 3}, "best_of"),
        (COMPLETIONS, {"best_of": 2, "n": 3}, "best_of"),
        (COMPLETIONS, {"echo": True, "logprobs": 1}, "echo"),
        (COMPLETIONS, {"echo": True, "prompt": [[5], [6]]}, "echo"),
        ("/v1/responses", {"background": True}, "background"),
        ("/v1/messages", {"mcp_servers": [{"type": "url"}]}, "mcp_servers"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_would_be_another_answer_is_refused(
    worker: Worker, path: str, fields: dict[str, Any], param: str, stream: bool
) -> None:
    response = worker.post(path, {"model": "m", "stream": stream, **GOOD[path], **fields})
    assert response.status_code == 400
    assert response.json()["error"]["message"].startswith(f"{param}: ")


@pytest.mark.parametrize(
    "fields", [{"best_of": 1, "n": 2}, {"best_of": 2, "n": 2}, {"echo": False, "logprobs": 1}]
)
def test_what_asks_for_nothing_more_is_taken(worker: Worker, fields: dict[str, Any]) -> None:
    assert worker.post(COMPLETIONS, {"model": "m", **GOOD[COMPLETIONS], **fields}).status_code == 200


@pytest.mark.parametrize("stream", [False, True])
def test_an_echo_is_the_prompt_before_each_of_its_answers(worker: Worker, stream: bool) -> None:
    client = worker.openai
    asked: Any = {"model": "m", "prompt": ["one ", "two "], "n": 2, "max_tokens": 5, "temperature": 0}
    plain = [choice.text for choice in client.completions.create(**asked).choices]
    answer = client.completions.create(**asked, echo=True, stream=stream)
    said = ["", "", "", ""]
    for part in answer if stream else [answer]:
        for choice in part.choices:
            said[choice.index] += choice.text
    assert said == [prompt + text for prompt, text in zip(["one "] * 2 + ["two "] * 2, plain, strict=True)]
