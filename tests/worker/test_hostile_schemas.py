"""Schemas made to break the compiler are refused in time, while everything else goes on."""

import threading
import time
from collections.abc import Iterator
from typing import Any, Self

import httpx
import pytest

from tests.worker.processes import Worker, running_worker

# Two, and the start of a child; this allows for a busy test machine.
REFUSED_SECONDS = 20
# What a stream or /livez may wait is some hundredths of a second; likewise.
PAUSE_SECONDS = 2.0
ALTERNATIVES = [{"anyOf": [{"properties": {f"a{i}{j}": {}}} for j in range(4)]} for i in range(12)]
REFUSED: dict[str, dict[str, Any]] = {
    "patterns together": {
        "allOf": [{"type": "string", "pattern": f"(a|b)*a(a|b){{{n}}}"} for n in range(1, 40)]
    },
    "a large multiple": {"type": "integer", "multipleOf": 999_983},
    "9,000 properties": {"type": "object", "properties": {f"p{n}": {} for n in range(9000)}},
    "2,000 formats": {"properties": {f"p{n}": {"type": "string", "format": "email"} for n in range(2000)}},
    "combinations": {"allOf": ALTERNATIVES},
    "itself alone": {"$ref": "#"},
    "two that are each other": {
        "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"
    },
    "elsewhere": {"$ref": "http://127.0.0.1:1/schema.json"},
    "a file": {"$ref": "file:///etc/passwd"},
    "nowhere": {"$ref": "#/$defs/nowhere"},
    "no type": {"type": "wizard"},
    "no pattern": {"type": "string", "pattern": "("},
    "a pattern that looks ahead": {"type": "string", "pattern": "(?=a)b"},
    "nothing": {"allOf": [{"type": "string"}, {"type": "integer"}]},
    "what is not enforced": {"type": "array", "uniqueItems": True},
}  # fmt: skip
TAKEN: dict[str, dict[str, Any]] = {
    "nested repetitions": {"type": "string", "pattern": "^(a{1,1000}){1,1000}$"},
    "a pattern that backtracks": {"type": "string", "pattern": "^(a+)+$"},
    "10,000 words": {"enum": [f"word {n}" for n in range(10_000)]},
    "a million items": {"type": "array", "items": {"type": "integer"}, "minItems": 10**6},
    "a long constant": {"const": "x" * 200_000},
    "a bomb of references": {
        "$defs": {
            **{f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(30)}, "d30": {}
        },
        "$ref": "#/$defs/d0",
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def demo() -> Iterator[Worker]:
    with running_worker(model_path="builtin:demo", preload=True, max_concurrency=8, queue_size=32) as running:
        yield running


class Onlookers:
    """A stream and somebody who asks for /livez, and the longest that either waited."""

    def __init__(self, worker: Worker) -> None:
        self.longest = {"stream": 0.0, "livez": 0.0}
        self._worker = worker
        self._over = threading.Event()
        self._threads = [threading.Thread(target=each) for each in (self._stream, self._ask)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _stream(self) -> None:
        messages = [{"role": "user", "content": "tell me a long story"}]
        with httpx.Client(base_url=self._worker.url, timeout=20) as http:
            while not self._over.is_set():
                asked: Any = {"model": "m", "messages": messages, "stream": True}
                with http.stream("POST", "/v1/chat/completions", json=asked) as answer:
                    last = time.monotonic()
                    for _ in answer.iter_bytes():
                        last = self._note("stream", last)

    def _ask(self) -> None:
        with httpx.Client(base_url=self._worker.url, timeout=20) as http:
            while not self._over.wait(0.005):
                begun = time.monotonic()
                http.get("/livez")
                self._note("livez", begun)

    def _note(self, what: str, since: float) -> float:
        now = time.monotonic()
        self.longest[what] = max(self.longest[what], now - since)
        return now


def held_to(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}


@pytest.mark.parametrize("schema", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_compiled_is_refused_in_time_and_harms_nobody(
    demo: Worker, schema: dict[str, Any]
) -> None:
    with Onlookers(demo) as onlookers:
        begun = time.monotonic()
        response = demo.chat("json", response_format=held_to(schema), max_tokens=5)
        seconds = time.monotonic() - begun
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (400, "response_format"), error
    assert "passwd" not in error["message"]
    assert seconds < REFUSED_SECONDS
    assert max(onlookers.longest.values()) < PAUSE_SECONDS, onlookers.longest


@pytest.mark.parametrize("schema", TAKEN.values(), ids=TAKEN)
def test_what_is_only_large_is_taken_and_harms_nobody(demo: Worker, schema: dict[str, Any]) -> None:
    with Onlookers(demo) as onlookers:
        response = demo.chat("json", response_format=held_to(schema), temperature=2, seed=1, max_tokens=40)
    assert response.status_code == 200, response.text
    assert max(onlookers.longest.values()) < PAUSE_SECONDS, onlookers.longest


def test_of_several_tools_the_bad_one_is_named(demo: Worker) -> None:
    tools = [
        {"type": "function", "function": {"name": f"f{n}", "parameters": parameters}}
        for n, parameters in enumerate([{}, {"pattern": "("}, REFUSED["patterns together"]])
    ]
    for wanted, param in ((tools[:2], "tools[1]"), ([tools[0], tools[2]], "tools[1]")):
        response = demo.chat("ping", tools=wanted, tool_choice="required")
        assert (response.status_code, response.json()["error"]["param"]) == (400, param)
    assert demo.chat("ping", tools=tools, max_tokens=3).status_code == 200


def test_loose_tools_may_say_what_is_not_enforced_and_strict_ones_may_not(demo: Worker) -> None:
    function = {"name": "f", "parameters": {"type": "object", "not": {"required": ["a"]}}}
    for strict, status in ((None, 200), (False, 200), (True, 400)):
        tool = {"type": "function", "function": {**function, "strict": strict}}
        assert demo.chat("x", tools=[tool], tool_choice="required", max_tokens=3).status_code == status


def test_a_schema_that_gets_too_complex_on_the_way_ends_its_own_row_only(demo: Worker) -> None:
    schema = {"type": "string", "pattern": "^((a{1,100}){1,100}){1,100}$"}
    with Onlookers(demo) as onlookers:
        response = demo.chat("x", response_format=held_to(schema), temperature=2, seed=0, max_tokens=60)
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (400, "response_format")
    assert max(onlookers.longest.values()) < PAUSE_SECONDS
