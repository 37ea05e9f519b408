"""Answers held to schemas and to tool calls, by the demo model in a real worker, greedy and wild."""

import json
from collections.abc import Iterator
from typing import Any, Literal

import jsonschema_rs
import pytest
from pydantic import BaseModel, ConfigDict, Field

from mlxhub.demo.golden import GOLDEN, JSON_TEXT
from tests.worker.processes import Worker, running_worker

SEEDS = range(5)
GOLDEN_TOOLS = next(golden.tools for golden in GOLDEN if golden.tools)
ADDRESS = {
    "type": "object",
    "properties": {
        "street": {"type": "string", "maxLength": 12},
        "größe": {"enum": ["klein", "groß", "日本", 7, None]},
        "at": {"type": "number", "minimum": -90, "maximum": 90},
    },
    "required": ["street", "größe", "at"],
    "additionalProperties": False,
}
SCHEMAS: dict[str, dict[str, Any]] = {
    "nested": {
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 8},
            "address": {"$ref": "#/$defs/address"},
            "tags": {"type": "array", "items": {"type": "string", "pattern": "^[a-c]{1,4}$"}, "maxItems": 3},
            "when": {"type": "string", "format": "date"},
        },
        "required": ["name", "address", "tags", "when"],
        "additionalProperties": False,
        "$defs": {"address": ADDRESS},
    },
    "one word": {"enum": ["yes", "no"]},
    "list": {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 5},
}
RECURSIVE = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "value": {"type": "integer", "minimum": 0, "maximum": 9},
                "next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/node"}]},
            },
            "required": ["value", "next"],
            "additionalProperties": False,
        }
    },
    "$ref": "#/$defs/node",
}
GET_WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "maxLength": 12},
                "unit": {"$ref": "#/$defs/unit"},
            },
            "required": ["city", "unit"],
            "additionalProperties": False,
            "$defs": {"unit": {"enum": ["celsius", "fahrenheit"]}},
        },
    },
}
NO_ARGUMENTS = {"type": "object", "properties": {}, "additionalProperties": False}
GET_TIME = {"type": "function", "function": {"name": 'get "time" é', "parameters": NO_ARGUMENTS}}
TOOLS = [GET_WEATHER, GET_TIME]
PARAMETERS = {tool["function"]["name"]: tool["function"]["parameters"] for tool in TOOLS}  # type: ignore[index]


@pytest.fixture(scope="module")
def demo() -> Iterator[Worker]:
    with running_worker(model_path="builtin:demo", preload=True, max_concurrency=8) as running:
        yield running


def ask(demo: Worker, text: str = "json", **options: Any) -> Any:
    response = demo.chat(text, **{"max_tokens": 600, **options})
    assert response.status_code == 200, response.text
    (choice,) = response.json()["choices"]
    return choice


def json_schema(schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, **more}}


def calls_of(choice: Any) -> list[tuple[str, Any]]:
    """Each valid."""
    calls = [
        (call["function"]["name"], json.loads(call["function"]["arguments"]))
        for call in choice["message"]["tool_calls"]
    ]
    for name, arguments in calls:
        jsonschema_rs.validate(PARAMETERS[name], arguments)
    return calls


@pytest.mark.parametrize("temperature", [0, 2])
def test_json_mode_gives_an_object(demo: Worker, temperature: float) -> None:
    whole = 0
    for seed in SEEDS:
        choice = ask(demo, temperature=temperature, seed=seed, response_format={"type": "json_object"})
        # Nothing bounds a text within JSON: one that went on until max_tokens is told as cut.
        if choice["finish_reason"] == "stop":
            assert isinstance(json.loads(choice["message"]["content"]), dict)
            whole += 1
        assert choice["message"]["content"].startswith("{")
    assert whole >= 4


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
def test_an_answer_is_what_its_schema_allows(demo: Worker, schema: dict[str, Any]) -> None:
    for temperature, seed in [(0, 0), *((2, seed) for seed in SEEDS)]:
        choice = ask(demo, temperature=temperature, seed=seed, response_format=json_schema(schema))
        assert choice["finish_reason"] == "stop"
        jsonschema_rs.validate(schema, json.loads(choice["message"]["content"]))


def test_strict_or_not_a_schema_is_enforced(demo: Worker) -> None:
    formats = [json_schema(SCHEMAS["nested"], strict=strict) for strict in (True, False, None)]
    first, *others = [ask(demo, temperature=2, seed=9, response_format=each) for each in formats]
    assert [each["message"] for each in others] == [first["message"]] * 2


def test_a_schema_that_refers_to_itself(demo: Worker) -> None:
    choice = ask(demo, temperature=2, seed=0, response_format=json_schema(RECURSIVE))
    jsonschema_rs.validate(RECURSIVE, json.loads(choice["message"]["content"]))
    assert choice["finish_reason"] == "stop"


def test_a_stream_says_the_same(demo: Worker) -> None:
    wanted: Any = {"response_format": json_schema(SCHEMAS["nested"]), "temperature": 2, "seed": 3}
    whole = ask(demo, **wanted)["message"]["content"]
    messages: Any = [{"role": "user", "content": "json"}]
    chunks = demo.openai.chat.completions.create(model="m", messages=messages, stream=True, **wanted)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole


def test_a_required_call_comes_whatever_is_asked(demo: Worker) -> None:
    for temperature, seed in [(0, 0), *((2, seed) for seed in SEEDS)]:
        choice = ask(demo, "ping", tools=TOOLS, tool_choice="required", temperature=temperature, seed=seed)
        assert choice["finish_reason"] == "tool_calls"
        assert choice["message"]["content"] is None
        assert calls_of(choice)


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_named_tool_is_the_one_that_is_called(demo: Worker, name: str) -> None:
    named = {"type": "function", "function": {"name": name}}
    for seed in SEEDS:
        choice = ask(
            demo, "ping", tools=TOOLS, tool_choice=named, parallel_tool_calls=False, temperature=2, seed=seed
        )
        assert choice["finish_reason"] == "tool_calls"
        assert [called for called, _ in calls_of(choice)] == [name]


def test_of_the_allowed_tools_one_is_called(demo: Worker) -> None:
    tools = [{"type": "function", "function": {"name": "get_weather"}}]
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": tools}}
    for seed in SEEDS:
        choice = ask(demo, "ping", tools=TOOLS, tool_choice=allowed, temperature=2, seed=seed)
        assert {called for called, _ in calls_of(choice)} == {"get_weather"}


def test_calls_or_json_where_the_model_may_choose(demo: Worker) -> None:
    wanted: Any = {"tools": GOLDEN_TOOLS, "response_format": {"type": "json_object"}}
    choice = ask(demo, "weather in Paris", temperature=0, **wanted)
    assert choice["message"]["tool_calls"][0]["function"]["arguments"] == '{"city": "Paris"}'
    choice = ask(demo, "json", temperature=0, **wanted)
    assert (choice["finish_reason"], choice["message"]["content"]) == ("stop", JSON_TEXT)


@pytest.mark.parametrize("tools", [{}, {"tools": TOOLS, "tool_choice": "required"}])
def test_an_answer_that_is_cut_says_so(demo: Worker, tools: dict[str, Any]) -> None:
    wanted = {} if tools else {"response_format": json_schema(SCHEMAS["nested"])}
    choice = ask(demo, temperature=0, max_tokens=9, **tools, **wanted)
    assert choice["finish_reason"] == "length"
    assert choice["message"]["content"].startswith("<tool_call>" if tools else "{")
    assert "tool_calls" not in choice["message"]


def test_a_stop_ends_it_all_the_same(demo: Worker) -> None:
    choice = ask(demo, temperature=0, response_format=json_schema(SCHEMAS["nested"]), stop=['"address"'])
    assert choice["finish_reason"] == "stop"
    assert choice["message"]["content"].startswith('{"name"')
    assert "address" not in choice["message"]["content"]


def test_several_answers_each_in_a_place_of_its_own(demo: Worker) -> None:
    options = {"response_format": json_schema(SCHEMAS["nested"]), "temperature": 2, "seed": 5, "n": 4}
    first, again = (demo.chat("json", **options).json()["choices"] for _ in range(2))
    texts = [choice["message"]["content"] for choice in first]
    assert len(set(texts)) == 4
    assert texts == [choice["message"]["content"] for choice in again]
    for text in texts:
        jsonschema_rs.validate(SCHEMAS["nested"], json.loads(text))


class Step(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str = Field(max_length=10)
    kind: Literal["small", "large"]


class Plan(BaseModel):
    model_config = ConfigDict(extra="forbid")

    steps: list[Step] = Field(max_length=3)
    total: int = Field(ge=0, le=100)


def test_openais_client_parses_into_a_model(demo: Worker) -> None:
    messages: Any = [{"role": "user", "content": "json"}]
    for parse in (demo.openai.chat.completions.parse, demo.openai.beta.chat.completions.parse):
        answer = parse(model="m", messages=messages, response_format=Plan, temperature=2, seed=1)
        assert isinstance(answer.choices[0].message.parsed, Plan)
