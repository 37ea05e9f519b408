"""The OpenAPI documents say all of what the tables of routes say."""

import json
from typing import Any

import pytest
from click.testing import CliRunner

from mlxhub.cli.config import config
from mlxhub.controller.access import TABLE as CONTROLLER
from mlxhub.controller.openapi import controller_openapi
from mlxhub.core.access import Body, Need, Route, RouteTable
from mlxhub.protocol.openapi import Operation, make_openapi
from mlxhub.protocol.worker import WorkerStatus
from mlxhub.worker.access import TABLE as WORKER
from mlxhub.worker.openapi import worker_openapi

DOCUMENTS = {"controller": (CONTROLLER, controller_openapi()), "worker": (WORKER, worker_openapi())}
of_both = pytest.mark.parametrize(("table", "document"), DOCUMENTS.values(), ids=DOCUMENTS)


@of_both
def test_every_route_is_in_the_document_and_no_other(table: RouteTable, document: dict[str, Any]) -> None:
    documented = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert documented == {(route.method, route.path.replace(":path}", "}")) for route in table.routes}


@of_both
def test_every_operation_says_its_key_and_how_it_is_refused(
    table: RouteTable, document: dict[str, Any]
) -> None:
    keys: dict[Need, list[dict[str, list[str]]]] = {
        Need.NOTHING: [],
        Need.API_WHERE_REQUIRED: [{"api_key": []}, {}],
        Need.API: [{"api_key": []}],
        Need.ADMIN: [{"admin_key": []}],
    }
    for route in table.routes:
        said = document["paths"][route.path.replace(":path}", "}")][route.method.lower()]
        assert said["security"] == keys[route.need]
        assert ("requestBody" in said) is (route.body is not Body.NONE)
        assert {"200", "421", "4XX", "5XX"} <= said["responses"].keys()
        for status in ("4XX", "5XX"):
            schema = said["responses"][status]["content"]["application/json"]["schema"]
            assert schema == error_of(route.path, status)


def error_of(path: str, status: str) -> dict[str, Any]:
    ours, anthropics = (
        {"$ref": f"#/components/schemas/{name}"} for name in ("ErrorEnvelope", "AnthropicError")
    )
    if not path.startswith("/v1/messages"):
        return ours
    return {"anyOf": [anthropics, ours]} if status == "4XX" else anthropics


@of_both
def test_what_is_referred_to_is_there(table: RouteTable, document: dict[str, Any]) -> None:
    del table
    referred = set()

    def read(value: Any) -> None:
        if isinstance(value, dict):
            if isinstance(reference := value.get("$ref"), str):
                referred.add(reference.removeprefix("#/components/schemas/"))
            for each in value.values():
                read(each)
        elif isinstance(value, list):
            for each in value:
                read(each)

    read(document)
    assert referred <= document["components"]["schemas"].keys()
    assert {"ErrorEnvelope", "ChatRequest", "ChatCompletion"} <= referred


@of_both
def test_no_two_shapes_have_one_name(table: RouteTable, document: dict[str, Any]) -> None:
    """pydantic would write their modules into their names."""
    del table
    assert [name for name in document["components"]["schemas"] if "__" in name] == []


def test_a_route_that_nobody_describes_is_an_error() -> None:
    table = RouteTable(Route("GET", "/status", Need.API), Route("GET", "/new", Need.API))
    with pytest.raises(KeyError, match="/new"):
        make_openapi("a", "1", table, {("GET", "/status"): Operation("All it knows.", WorkerStatus)})


def test_answers_of_models_may_come_as_events() -> None:
    for document in (controller_openapi(), worker_openapi()):
        for path in ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"):
            content = document["paths"][path]["post"]["responses"]["200"]["content"]
            assert content.keys() == {"application/json", "text/event-stream"}


@pytest.mark.parametrize("program", DOCUMENTS)
def test_the_command_prints_the_document(program: str) -> None:
    printed = CliRunner().invoke(config, ["openapi", program])
    assert json.loads(printed.output) == DOCUMENTS[program][1]
