"""`GET /v1/models`: every model of the hub under every id it answers to. Instant; loads nothing."""

from collections.abc import Callable, Iterator

from fastapi import APIRouter
from pydantic import BaseModel

from mlxhub.core.lifecycle import ModelState, ProcessState
from mlxhub.errors import UnknownModel
from mlxhub.protocol.hub import HubStatus, ModelView


class ModelMeta(BaseModel):
    """`alias_of` is the name of the model that an alias means; `state` is null where the worker is silent."""

    type: str
    port: int
    process: ProcessState
    state: ModelState | None
    context_length: int | None
    alias_of: str | None = None


class ModelObject(BaseModel):
    """OpenAI's model object; `created` is when the controller began."""

    id: str
    object: str = "model"
    created: int
    owned_by: str = "mlxhub"
    meta: ModelMeta


class ModelList(BaseModel):
    object: str = "list"
    data: list[ModelObject]


def openai_routes(status: Callable[[], HubStatus]) -> APIRouter:
    router = APIRouter()

    @router.get("/v1/models")
    async def list_models() -> ModelList:
        return ModelList(data=list(_objects(status())))

    @router.get("/v1/models/{model_id:path}")
    async def show_model(model_id: str) -> ModelObject:
        now = status()
        for model in _objects(now):
            if model.id == model_id:
                return model
        raise UnknownModel(model_id, tuple(view.name for view in now.models))

    return router


def _objects(status: HubStatus) -> Iterator[ModelObject]:
    created = int(status.controller.started_at or 0)
    for view in status.models:
        for model_id in (view.name, *view.aliases):
            yield ModelObject(id=model_id, created=created, meta=_meta(view, model_id))


def _meta(view: ModelView, model_id: str) -> ModelMeta:
    return ModelMeta(
        type=view.type,
        port=view.port,
        process=view.process,
        state=view.memory,
        context_length=view.context_length,
        alias_of=None if model_id == view.name else view.name,
    )
