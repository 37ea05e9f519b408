"""`GET /v1/models`: every model of the hub by its name. Instant; loads nothing."""

from collections.abc import Callable

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlxhub.core.lifecycle import ModelState, ProcessState
from mlxhub.core.model_type import ModelType
from mlxhub.errors import UnknownModel
from mlxhub.protocol.hub import HubStatus, ModelView
from mlxhub.web.responses import model_response


class ModelMeta(BaseModel):
    """`state` is null where the worker is silent, `type` as of ModelView."""

    type: ModelType | None
    port: int
    process: ProcessState
    state: ModelState | None
    context_length: int | None
    aliases: list[str]


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


def openai_routes(status: Callable[[], HubStatus]) -> list[Route]:
    async def list_models(_request: Request) -> Response:
        now = status()
        return model_response(ModelList(data=[_model_object(view, now) for view in now.models]))

    async def show_model(request: Request) -> Response:
        """By name or alias."""
        model_id = request.path_params["model_id"]
        now = status()
        for view in now.models:
            if model_id in (view.name, *view.aliases):
                return model_response(_model_object(view, now))
        raise UnknownModel(model_id, tuple(view.name for view in now.models))

    return [Route("/v1/models", list_models), Route("/v1/models/{model_id:path}", show_model)]


def _model_object(view: ModelView, status: HubStatus) -> ModelObject:
    meta = ModelMeta(
        type=view.type,
        port=view.port,
        process=view.process,
        state=view.memory,
        context_length=view.context_length,
        aliases=view.aliases,
    )
    return ModelObject(id=view.name, created=int(status.controller.started_at or 0), meta=meta)
