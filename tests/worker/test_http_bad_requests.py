"""Bad input is a 400 that names the parameter, never a 5xx, and never changes the worker."""

import json
from typing import Any

import pytest

from tests.worker.processes import Worker

HELLO = [{"role": "user", "content": "hello"}]
GOOD: dict[str, Any] = {"model": "m", "messages": HELLO, "max_tokens": 1}

CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"model": None}, "model"),
    ({"model": 5}, "model"),
    ({"messages": None}, "messages"),
    ({"messages": []}, "messages"),
    ({"messages": "hello"}, "messages"),
    ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content"),
    ({"temperature": "hot"}, "temperature"),
    ({"temperature": 1e308}, "temperature"),
    ({"top_k": -(2**63)}, "top_k"),
    ({"seed": 2**70}, "seed"),
    ({"n": True}, "n"),
    ({"max_tokens": 1.5}, "max_tokens"),
    ({"max_tokens": True}, "max_tokens"),
    ({"max_completion_tokens": -1}, "max_completion_tokens"),
    ({"stop": [1]}, "stop[0]"),
    ({"stream": "yes"}, "stream"),
    ({"stream_options": 1}, "stream_options"),
    ({"tools": [{"type": "function"}]}, "tools[0].function"),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"tool_choice": "wizard"}, "tool_choice"),
    ({"tool_choice": {"type": "function"}}, "tool_choice"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
    ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice"),
    ({"response_format": {"type": "regex"}}, "response_format"),
    ({"logprobs": "yes"}, "logprobs"),
    ({"top_logprobs": 3}, "top_logprobs"),
    ({"logit_bias": {"x": 1}}, "logit_bias"),
    ({"logit_bias": {"100000": 1}}, "logit_bias"),
]


@pytest.mark.parametrize(("change", "param"), CHANGES, ids=[f"{p}-{i}" for i, (_, p) in enumerate(CHANGES)])
def test_a_bad_field_is_named(worker: Worker, change: dict[str, Any], param: str) -> None:
    response = worker.post("/v1/chat/completions", {**GOOD, **change})
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (400, param), error
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b"5", b'"text"', b"[NaN]", b"\xff\xfe", b"[" * 90_000, b"\xef\xbb\xbf{}",
        json.dumps({**GOOD, "temperature": float("nan")}).encode(),
        json.dumps({**GOOD, "temperature": float("inf")}).encode(),
        json.dumps(GOOD).replace("hello", "\\ud800").encode(),
        json.dumps(GOOD).replace("1", "9" * 5000).encode(),
    ],
)  # fmt: skip
def test_a_broken_body_is_400(worker: Worker, body: bytes) -> None:
    for path in ("/v1/chat/completions", "/v1/completions"):
        response = worker.http.post(path, content=body, headers={"content-type": "application/json"})
        assert response.status_code == 400, response.text
        assert response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [""]}, "prompt"),
        ({"prompt": [[]]}, "prompt"),
        ({"prompt": [-1]}, "prompt"),
        ({"prompt": {}}, "prompt"),
    ],
)
def test_bad_completions_are_named(worker: Worker, change: dict[str, Any], param: str) -> None:
    response = worker.post("/v1/completions", {"model": "m", "prompt": "x", "max_tokens": 1, **change})
    assert (response.status_code, response.json()["error"]["param"]) == (400, param), response.text


def test_a_prompt_beyond_the_context_is_refused(worker: Worker) -> None:
    for stream in (False, True):
        response = worker.chat("a" * 20_000, stream=stream)
        assert response.status_code == 400
        assert response.json()["error"]["code"] == "context_length_exceeded"


def test_an_unknown_model_is_404_with_those_there_are(worker: Worker) -> None:
    for model in ("gpt-5", "../../etc", "", "x" * 10_000):
        response = worker.post("/v1/chat/completions", {**GOOD, "model": model})
        assert (response.status_code, response.json()["error"]["code"]) == (404, "model_not_found")
        assert "Models: m." in response.json()["error"]["message"]


def test_other_paths_and_methods_have_the_envelope(worker: Worker) -> None:
    assert worker.http.get("/nowhere").json()["error"]["code"] == "not_found"
    refused = worker.http.get("/v1/chat/completions")
    assert (refused.status_code, refused.json()["error"]["code"]) == (405, "method_not_allowed")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/load", "/unload"])
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", None])
def test_posts_a_web_page_could_send_are_refused(worker: Worker, path: str, kind: str | None) -> None:
    headers = {"content-type": kind} if kind else {}
    response = worker.http.post(path, content=json.dumps(GOOD), headers=headers)
    assert (response.status_code, response.json()["error"]["code"]) == (415, "unsupported_media_type")


def test_a_huge_body_is_refused(worker: Worker) -> None:
    def chunks() -> Any:
        for _ in range(33):
            yield b" " * 1_000_000

    declared = worker.http.post(
        "/v1/chat/completions", content=b" " * 32_000_001, headers={"content-type": "application/json"}
    )
    assert declared.status_code == 413
    response = worker.http.post(
        "/v1/chat/completions", content=chunks(), headers={"content-type": "application/json"}
    )
    assert response.status_code == 413


def test_the_worker_is_as_it_was(worker: Worker) -> None:
    assert worker.status().in_flight == 0
    assert worker.chat(max_tokens=2).status_code == 200


LONG = "data " * 6_000_000
ASKED = {"messages": HELLO}
CALL = {"function": {"name": "f", "arguments": json.dumps({LONG: 1})}}
TOO_LONG: dict[str, tuple[str, dict[str, Any]]] = {
    "a text": ("/v1/completions", {"prompt": LONG}),
    "a message": ("/v1/chat/completions", {"messages": [{"role": "user", "content": LONG}]}),
    "a thought": (
        "/v1/chat/completions",
        {"messages": [*HELLO, {"role": "assistant", "reasoning_content": LONG}]},
    ),
    "a call": ("/v1/chat/completions", {"messages": [*HELLO, {"role": "assistant", "tool_calls": [CALL]}]}),
    "a tool": (
        "/v1/chat/completions",
        {**ASKED, "tools": [{"type": "function", "function": {"name": "f", "description": LONG}}]},
    ),
    "a name in a schema": (
        "/v1/messages/count_tokens",
        {**ASKED, "tools": [{"name": "f", "input_schema": {"properties": {LONG: {}}}}]},
    ),
}


@pytest.mark.parametrize("case", TOO_LONG)
def test_a_prompt_that_cannot_fit_is_refused_before_it_is_tokenized(worker: Worker, case: str) -> None:
    """Tokenizing 30 MB took gigabytes that glibc then kept."""
    route, prompt = TOO_LONG[case]
    before = worker.status().memory.footprint_bytes
    response = worker.http.post(route, json={"model": worker.status().name, **prompt}, timeout=60)
    assert response.status_code == 400
    assert "at least" in response.json()["error"]["message"]
    assert worker.status().memory.footprint_bytes - before < 400_000_000
