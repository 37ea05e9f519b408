"""`/hub/*`: what the hub is, and what a person may do with it."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Header

from mlxhub.controller.operations import Operations
from mlxhub.protocol.hub import ActionResult, BulkResult, HubStatus, ModelAction, ReloadResult
from mlxhub.web.bodies import require_json


async def _require_json(content_type: Annotated[str, Header()] = "") -> None:
    require_json(content_type)


def hub_routes(
    status: Callable[[], HubStatus],
    look_at_all: Callable[[], Awaitable[None]],
    operations: Operations,
    shut_down: Callable[[], None],
) -> APIRouter:
    """`shut_down` asks the controller to end; it answers what it has begun."""
    router = APIRouter(prefix="/hub")
    changes = APIRouter(dependencies=[Depends(_require_json)])

    @router.get("/status")
    async def show_status(fresh: bool = False) -> HubStatus:
        """From the last look, a second or two old; `fresh`: look first."""
        if fresh:
            await look_at_all()
        return status()

    @changes.post("/reload")
    async def reload() -> ReloadResult:
        return await operations.reload()

    @changes.post("/models/{name}/{action}")
    async def act(name: str, action: ModelAction) -> ActionResult:
        return await operations.act(name, action)

    @changes.post("/start-all")
    async def start_all() -> BulkResult:
        return await operations.act_on_all("start")

    @changes.post("/stop-all")
    async def stop_all() -> BulkResult:
        return await operations.act_on_all("stop")

    @changes.post("/shutdown")
    async def shutdown() -> ActionResult:
        shut_down()
        return ActionResult(name="controller", ok=True, message="The controller ends. Its models serve on.")

    router.include_router(changes)
    return router
