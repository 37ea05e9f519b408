"""An OpenAPI document, made from a program's table of routes and the models of what it takes and answers."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, JsonSchemaValue, models_json_schema

from mlxhub.core.access import Body, Need, Route, RouteTable
from mlxhub.protocol.errors import ErrorEnvelope
from mlxhub.protocol.model_routes import STREAMED

# A model, and whether it is sent to us or by us.
_Used: TypeAlias = tuple[type[BaseModel], JsonSchemaMode]
_Schemas: TypeAlias = Mapping[_Used, JsonSchemaValue]
_JSON = "application/json"
_FORM = "multipart/form-data"
_TEXT: JsonSchemaValue = {"type": "string"}
_EVENT: JsonSchemaValue = {
    "type": "object",
    "description": "One event of the stream: `data` is a chunk as JSON, an error as JSON, or [DONE].",
    "properties": {"data": {"type": "string"}},
    "required": ["data"],
}
_SECURITY: dict[Need, list[dict[str, list[str]]]] = {
    Need.NOTHING: [],
    Need.API_WHERE_REQUIRED: [{"api_key": []}, {}],
    Need.API: [{"api_key": []}],
    Need.ADMIN: [{"admin_key": []}],
}
_SCHEMES = {
    "api_key": {"type": "http", "scheme": "bearer", "description": "What `mlxhub keys show api` prints."},
    "admin_key": {"type": "http", "scheme": "bearer", "description": "What `mlxhub keys show admin` prints."},
}


@dataclass(frozen=True, slots=True)
class Operation:
    """What is said of a route beside what its table says.

    `answer` of 200 is a model, as JSON, or text of a media type. `accepted`: what 202 answers, where nobody
    waits for that. `asks`: the body, where it is more than an object. `also`: media types of texts that it
    may ask for. `unable`: what 503 answers, where that is no error. `error`: how its API writes errors, if
    not as all others do. `query` and `path` are JSON Schemas by parameter; a parameter of the path of which
    nothing is said is any text.
    """

    summary: str
    answer: type[BaseModel] | str
    asks: type[BaseModel] | None = None
    accepted: type[BaseModel] | None = None
    also: tuple[str, ...] = ()
    unable: type[BaseModel] | None = None
    error: type[BaseModel] | None = None
    query: Mapping[str, JsonSchemaValue] = field(default_factory=dict)
    path: Mapping[str, JsonSchemaValue] = field(default_factory=dict)


def make_openapi(
    title: str, version: str, table: RouteTable, operations: Mapping[tuple[str, str], Operation]
) -> dict[str, Any]:
    """`operations` by method and path as in `table`. Raises KeyError for a route that has none."""
    described = [(route, operations[route.method, route.path]) for route in table.routes]
    schemas, components = _schemas([operation for _, operation in described])
    paths: dict[str, dict[str, Any]] = {}
    for route, operation in described:
        path = re.sub(r":path}", "}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": _SCHEMES},
    }


def _schemas(operations: list[Operation]) -> tuple[_Schemas, dict[str, Any]]:
    """A reference to each model as it is asked or answered, and what they refer to."""
    used: set[_Used] = {(ErrorEnvelope, "serialization"), *_models(operations)}
    models = sorted(used, key=lambda each: (each[0].__name__, each[1]))
    references, definitions = models_json_schema(models, ref_template="#/components/schemas/{model}")
    return {each: references[each] for each in models}, definitions["$defs"]


def _models(operations: list[Operation]) -> Iterator[_Used]:
    for operation in operations:
        if operation.asks is not None:
            yield operation.asks, "validation"
        for answer in (operation.answer, operation.accepted, operation.unable, operation.error):
            if isinstance(answer, type):
                yield answer, "serialization"


def _operation(route: Route, operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    said: dict[str, Any] = {
        "summary": operation.summary,
        "security": _SECURITY[route.need],
        "responses": _responses(route, operation, schemas),
    }
    if parameters := [*_parameters(route, operation)]:
        said["parameters"] = parameters
    if route.body is not Body.NONE:
        asked = {"type": "object"} if operation.asks is None else schemas[operation.asks, "validation"]
        media_type = _FORM if route.body is Body.FORM else _JSON
        said["requestBody"] = {"required": True, "content": {media_type: {"schema": asked}}}
    return said


def _parameters(route: Route, operation: Operation) -> Iterator[dict[str, Any]]:
    for name in re.findall(r"{(\w+)", route.path):
        schema = operation.path.get(name, {"type": "string", "minLength": 1})
        yield {"name": name, "in": "path", "required": True, "schema": schema}
    for name, schema in operation.query.items():
        yield {"name": name, "in": "query", "schema": schema}


def _responses(route: Route, operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    refused = _as_json("The request is refused.", ErrorEnvelope, schemas)
    said = {"200": _answer(route, operation, schemas)}
    if operation.accepted is not None:
        said["202"] = _as_json("It has begun.", operation.accepted, schemas)
    if route.need is not Need.NOTHING:
        challenge = {"WWW-Authenticate": {"required": True, "schema": {"const": "Bearer"}}}
        said["401"] = {**refused, "description": "It lacks the key.", "headers": challenge}
    said["421"] = {"description": "It is meant for another host."}
    if operation.unable is not None:
        said["503"] = _as_json("Not now.", operation.unable, schemas)
    said["4XX"] = refused
    said["5XX"] = _as_json("It could not be done.", operation.error or ErrorEnvelope, schemas)
    if operation.error is not None:
        # What never reaches the API is refused as everywhere.
        either = [schemas[model, "serialization"] for model in (operation.error, ErrorEnvelope)]
        said["4XX"] = {**refused, "content": {_JSON: {"schema": {"anyOf": either}}}}
    return said


def _answer(route: Route, operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    if isinstance(operation.answer, str):
        return {"description": "Text.", "content": {operation.answer: {"schema": _TEXT}}}
    said = _as_json("Done.", operation.answer, schemas)
    if route.path in STREAMED:
        said["content"]["text/event-stream"] = {"schema": _EVENT}
    for media_type in operation.also:
        said["content"][media_type] = {"schema": _TEXT}
    return said


def _as_json(description: str, model: type[BaseModel], schemas: _Schemas) -> dict[str, Any]:
    return {
        "description": description,
        "content": {_JSON: {"schema": schemas[model, "serialization"]}},
    }
