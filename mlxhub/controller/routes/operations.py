"""What a person may do with models: begun at once, and found again by an id."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlxhub.controller.operation_log import OperationLog
from mlxhub.controller.operations import Operations
from mlxhub.protocol.hub import ActionResult, BulkResult, ModelAction, OperationList
from mlxhub.web.responses import model_response

_ACCEPTED = 202

Result = TypeVar("Result", ActionResult, BulkResult)


class _Asked(BaseModel):
    action: ModelAction


class _Waits(BaseModel):
    wait: bool = False


def operation_routes(operations: Operations, log: OperationLog) -> list[Route]:
    async def begun(
        request: Request, action: ModelAction, model: str | None, work: Callable[[], Awaitable[Result]]
    ) -> Response:
        """How to find it again; with `wait` what has come of it."""
        waits = _Waits.model_validate(dict(request.query_params)).wait
        view, result = log.begin(action, model, work)
        return model_response(await asyncio.shield(result)) if waits else model_response(view, _ACCEPTED)

    async def act(request: Request) -> Response:
        action = _Asked.model_validate(request.path_params).action
        name = operations.name_of(request.path_params["name"])
        return await begun(request, action, name, lambda: operations.act(name, action))

    async def start_all(request: Request) -> Response:
        return await begun(request, "start", None, lambda: operations.act_on_all("start"))

    async def stop_all(request: Request) -> Response:
        return await begun(request, "stop", None, lambda: operations.act_on_all("stop"))

    async def show_all(_request: Request) -> Response:
        return model_response(OperationList(operations=log.views))

    async def show(request: Request) -> Response:
        return model_response(log.find(request.path_params["id"]))

    return [
        Route("/hub/models/{name}/{action}", act, methods=["POST"]),
        Route("/hub/start-all", start_all, methods=["POST"]),
        Route("/hub/stop-all", stop_all, methods=["POST"]),
        Route("/hub/operations", show_all),
        Route("/hub/operations/{id}", show),
    ]
