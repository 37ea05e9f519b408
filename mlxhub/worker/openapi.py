"""A worker's OpenAPI document."""

from importlib.metadata import version
from typing import Any, Literal

from pydantic import BaseModel

from mlxhub.core.lifecycle import ModelState
from mlxhub.protocol.openai.responses_documented import AnsweredResponse, DeletedResponse
from mlxhub.protocol.openapi import Operation, make_openapi
from mlxhub.protocol.operations import MODEL_OPERATIONS
from mlxhub.protocol.worker import Identity, WorkerStatus
from mlxhub.worker.access import TABLE


class Alive(BaseModel):
    status: str


class Health(Alive):
    model_config = {"protected_namespaces": ()}

    model_status: ModelState
    model: str


class ModelMeta(BaseModel):
    type: str
    state: ModelState
    aliases: list[str]
    port: int
    context_length: int | None


class ModelObject(BaseModel):
    """OpenAI's model object; `created` is when the worker began."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    meta: ModelMeta


class ModelList(BaseModel):
    object: Literal["list"]
    data: list[ModelObject]


_OPERATIONS = {
    ("GET", "/health"): Operation("Whether it can serve.", Health, unable=Health),
    ("GET", "/livez"): Operation("Whether it is alive.", Alive, unable=Alive),
    ("GET", "/readyz"): Operation("Whether it would take a request now.", Alive, unable=Alive),
    ("GET", "/identity/{nonce}"): Operation(
        "Proves to its hub who it is.",
        Identity,
        path={"nonce": {"type": "string", "pattern": "^[0-9a-f]{32}$", "maxLength": 32}},
    ),
    ("GET", "/status"): Operation("Everything it knows. Never counts as use.", WorkerStatus),
    ("GET", "/metrics"): Operation("The same in Prometheus' format.", "text/plain"),
    ("POST", "/load"): Operation("Done when the weights are in memory.", WorkerStatus),
    ("POST", "/unload"): Operation(
        "Done when they are not. `if_idle` (1, true, yes): refused where requests run.",
        WorkerStatus,
        query={"if_idle": {"type": "string"}},
    ),
    ("GET", "/v1/models"): Operation("Its one model. Loads nothing.", ModelList),
    ("GET", "/v1/models/{model_id:path}"): Operation("The same, by name or alias.", ModelObject),
    **MODEL_OPERATIONS,
    ("GET", "/v1/images/files/{image_id}"): Operation(
        "A picture that was drawn within the hour.", "image/png"
    ),
    ("GET", "/v1/responses/{response_id}"): Operation("A response that was kept.", AnsweredResponse),
    ("DELETE", "/v1/responses/{response_id}"): Operation("Keeps it no longer.", DeletedResponse),
}


def worker_openapi() -> dict[str, Any]:
    """JSON as a value."""
    return make_openapi("mlxhub worker", version("mlxhub"), TABLE, _OPERATIONS)
