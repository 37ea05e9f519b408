"""A body that two readers could take for two different ones is refused."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, ValidationError

from mlxhub.protocol.anthropic.messages import MessagesRequest
from mlxhub.protocol.openai.chat import ChatRequest
from mlxhub.protocol.openai.completions import CompletionRequest
from mlxhub.protocol.openai.responses import ResponsesRequest
from mlxhub.refusals import InvalidRequest
from mlxhub.worker.routes.bodies import parse_model
from tests.worker.processes import Worker

LONG = "k" * 300


class Anything(BaseModel):
    model_config = ConfigDict(extra="ignore")

    model: Any = None


@pytest.mark.parametrize(
    "body",
    [
        '{"model": "a", "model": "b"}',
        '{"model": "a", "model": "a"}',
        '{"model": "a", "mod\\u0065l": "b"}',
        '{"model" \n\t: "a", "x": {}, "model":"b"}',
        '{"model": "a", "x": [1, {"y": {"z": 1, "z": 2}}]}',
        '{"x": {"y": 1}, "model": "a", "x": 2}',
        '{"": 1, "": 2}',
        f'{{"{LONG}": 1, "{LONG}" : 2}}',
        '{"\\"": 1, "\\"": 2}',
        '{"\\ud83d\\ude00": 1, "\\ud83d\\ude00": 2}',
    ],
)
def test_a_key_that_comes_twice_is_refused(body: str) -> None:
    with pytest.raises(InvalidRequest, match="an object has a key twice"):
        parse_model(body.encode(), Anything)


def test_the_field_of_a_second_key_is_named_where_there_is_such_a_field() -> None:
    for body, param in (
        ('{"model": 1, "model": 2}', "model"),
        ('{"model": [{"x": {"a": 1, "a": 2}}]}', "model"),
        ('{"secret": 1, "secret": 2}', None),
    ):
        with pytest.raises(InvalidRequest) as caught:
            parse_model(body.encode(), Anything)
        assert caught.value.param == param
        assert str(caught.value) == f"{param or 'The body'}: an object has a key twice."


@pytest.mark.parametrize(
    "body",
    [
        '{"model": "a"}',
        '{"model": {"model": {"model": "model"}}}',
        '{"model": [{"a": 1}, {"a": 1}], "a": 1}',
        '{"model": "model", "x": "model:", "y": "{\\"x\\": 1, \\"x\\": 2}"}',
        f'{{"model": "{LONG}", "x": "{LONG}", "{LONG}": 1}}',
    ],
)
def test_the_same_text_elsewhere_is_no_second_key(body: str) -> None:
    assert parse_model(body.encode(), Anything).model == json.loads(body)["model"]


def test_an_object_has_ten_thousand_keys_at_most() -> None:
    def body(keys: int) -> bytes:
        return json.dumps({"model": {str(key): 1 for key in range(keys)}}).encode()

    assert len(parse_model(body(10_000), Anything).model) == 10_000
    with pytest.raises(InvalidRequest, match="an object has more than 10000 keys"):
        parse_model(body(10_001), Anything)


@pytest.mark.parametrize("part", ["[]", "{}", '""'])
def test_a_body_has_two_hundred_thousand_parts_at_most(part: str) -> None:
    """Of each, the parser makes some hundred bytes."""

    def body(parts: int) -> bytes:
        return f'{{"model": [{",".join([part] * parts)}]}}'.encode()

    # Braces are counted when they close, too.
    most = 90_000 if part == "{}" else 190_000
    assert len(parse_model(body(most), Anything).model) == most
    with pytest.raises(InvalidRequest, match="more than 200000 objects, lists and texts"):
        parse_model(body(200_000), Anything)


def test_a_body_has_two_million_values_at_most() -> None:
    with pytest.raises(InvalidRequest, match="more than 2000000 values"):
        parse_model(b'{"model": [' + b"1," * 2_000_001 + b"1]}", Anything)


class _Twice(Exception):
    pass


def _refuse_twice(pairs: list[tuple[str, Any]]) -> None:
    if len(dict(pairs)) < len(pairs):
        raise _Twice


# Few keys, so that they meet; each may be written in two ways.
_keys = st.sampled_from(['"a"', '"\\u0061"', '"b"', '"a:"', '"{"', '"\\\\"', '"\\""', f'"{LONG}"'])
_scalars = st.sampled_from(["1", "null", "-1.5e3", '""', '"a"', '"{\\"a\\": 1}"', '"}"'])
_spaces = st.sampled_from(["", " ", "\n\t "])


def _objects(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    members = st.lists(st.tuples(_keys, _spaces, values).map(lambda each: f"{each[0]}{each[1]}:{each[2]}"))
    return members.map(lambda each: "{" + ",".join(each) + "}")


_values = st.recursive(
    _scalars, lambda inner: _objects(inner) | st.lists(inner).map(lambda each: f"[{','.join(each)}]")
)


@settings(max_examples=60, deadline=None)
@given(_objects(_values))
@example('{"a":1,"\\u0061":2}')
def test_it_finds_what_pythons_own_parser_finds(body: str) -> None:
    try:
        json.loads(body, object_pairs_hook=_refuse_twice)
    except _Twice:
        with pytest.raises(InvalidRequest):
            parse_model(body.encode(), Anything)
    else:
        parse_model(body.encode(), Anything)


NO_JSON = [
    b"", b"{", b"}", b"{}}", b"]", b'"', b'{"x": "\xff"}', b'{"x": "\n"}', b'{"x": 1e}', b'{"x": }', b'{"x',
    b'{"x": "\\ud800"}', b'{"x": "\\x"}', b'{"x": "\\', b"[" * 100_000, b"{" * 100_000, b'{"x":' * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("body", NO_JSON, ids=range(len(NO_JSON)))
def test_what_is_no_json_is_said_to_be_none(body: bytes) -> None:
    with pytest.raises(ValidationError, match="Invalid JSON"):
        parse_model(body, Anything)


WRONG: dict[str, Any] = {"numbers": 1.5, "texts": "", "lists": [], "objects": {}}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (ChatRequest, {"messages": "wrong"}),
        (ChatRequest, {"messages": [{"role": "user", "content": "wrong"}]}),
        (ChatRequest, {"messages": [{"role": "user", "tool_calls": "wrong"}]}),
        (ChatRequest, {"tools": "wrong"}),
        (ChatRequest, {"stop": "wrong"}),
        (CompletionRequest, {"prompt": "wrong"}),
        (CompletionRequest, {"prompt": ["wrong"]}),
        (ResponsesRequest, {"input": "wrong"}),
        (ResponsesRequest, {"input": [{"role": "user", "content": "wrong"}]}),
        (ResponsesRequest, {"input": "x", "tools": "wrong", "metadata": "wrong"}),
        (MessagesRequest, {"messages": "wrong"}),
        (MessagesRequest, {"messages": [{"role": "user", "content": "wrong"}]}),
        (MessagesRequest, {"messages": [{"role": "assistant", "content": "wrong"}]}),
        (MessagesRequest, {"system": "wrong", "tools": "wrong", "stop_sequences": "wrong"}),
    ],
)
def test_there_are_few_errors_however_much_is_wrong(
    kind: type[BaseModel], body: dict[str, Any], wrong: Any
) -> None:
    """Two seconds of a worker went into telling of 200 kB."""
    sent = json.dumps({"model": "m", **body}).replace('"wrong"', json.dumps([wrong] * 20_000))
    with pytest.raises(ValidationError) as caught:
        parse_model(sent.encode(), kind)
    assert caught.value.error_count() < 50


@pytest.mark.parametrize("route", ["chat/completions", "completions"])
def test_a_worker_says_so(worker: Worker, route: str) -> None:
    body = b'{"model": "m", "prompt": "x", "messages": [{"role": "user", "content": "x"}], "model": "other"}'
    response = worker.http.post(f"/v1/{route}", content=body, headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_request")
    assert "has a key twice" in response.json()["error"]["message"]
