"""What chat completions enforce, the other APIs enforce by their own words."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.worker.processes import Worker, running_worker

SCHEMA = {
    "type": "object",
    "properties": {"ok": {"type": "boolean"}},
    "required": ["ok"],
    "additionalProperties": False,
}
PARAMETERS = {"type": "object", "properties": {"city": {"enum": ["Paris"]}}, "required": ["city"]}
PING = [{"role": "user", "content": "ping"}]
# A tree of references without an end.
HOSTILE = {"$ref": "http://nowhere.example/schema"}


@pytest.fixture(scope="module")
def demo() -> Iterator[Worker]:
    with running_worker(model_path="builtin:demo", max_concurrency=4) as running:
        yield running


def message(demo: Worker, **fields: Any) -> Any:
    tools = [{"name": "get_weather", "input_schema": PARAMETERS}]
    asked = {"model": "m", "max_tokens": 90, "messages": PING, "tools": tools, "temperature": 0, **fields}
    return demo.post("/v1/messages", asked).json()


def response(demo: Worker, **fields: Any) -> Any:
    tools = [{"type": "function", "name": "get_weather", "parameters": PARAMETERS, "strict": True}]
    asked = {
        "model": "m",
        "input": "ping",
        "tools": tools,
        "temperature": 0,
        "max_output_tokens": 90,
        **fields,
    }
    return demo.post("/v1/responses", asked).json()


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "get_weather"}])
def test_a_message_calls_the_tool_it_must(demo: Worker, choice: Any) -> None:
    said = message(demo, tool_choice=choice)
    assert said["stop_reason"] == "tool_use"
    call = said["content"][-1]
    assert (call["name"], call["input"]) == ("get_weather", {"city": "Paris"})


@pytest.mark.parametrize(
    "choice",
    [
        "required",
        {"type": "function", "name": "get_weather"},
        {
            "type": "allowed_tools",
            "mode": "required",
            "tools": [{"type": "function", "name": "get_weather"}],
        },
    ],
)
def test_a_response_calls_the_function_it_must(demo: Worker, choice: Any) -> None:
    said = response(demo, tool_choice=choice)
    call = said["output"][-1]
    assert (call["name"], json.loads(call["arguments"])) == ("get_weather", {"city": "Paris"})
    assert said["tool_choice"] == choice


def test_answers_are_held_to_schemas(demo: Worker) -> None:
    wanted = {"format": {"type": "json_schema", "schema": SCHEMA}}
    said = message(demo, tools=None, output_config=wanted)
    assert json.loads(said["content"][-1]["text"]).keys() == {"ok"}
    wanted["format"]["name"] = "answer"
    said = response(demo, tools=None, text=wanted)
    assert json.loads(said["output"][-1]["content"][0]["text"]).keys() == {"ok"}
    assert said["text"]["format"]["schema"] == SCHEMA


def test_what_cannot_be_enforced_is_named_as_the_api_names_it(demo: Worker) -> None:
    said = message(demo, tool_choice={"type": "tool", "name": "nobody"})
    assert said["error"]["message"].startswith("tool_choice: ")
    said = message(demo, tools=None, output_config={"format": {"type": "json_schema", "schema": HOSTILE}})
    assert said["error"]["message"].startswith("output_config.format")
    wanted = {"format": {"type": "json_schema", "name": "n", "schema": HOSTILE}}
    assert response(demo, tools=None, text=wanted)["error"]["param"].startswith("text.format")
