"""`/hub/*`: what the hub is, and what a person may do with it."""

from collections.abc import Awaitable, Callable

from fastapi import APIRouter

from mlxhub.controller.operations import Operations
from mlxhub.protocol.hub import ActionResult, BulkResult, HubStatus, ModelAction, ReloadResult


def hub_routes(
    status: Callable[[], HubStatus],
    look_at_all: Callable[[], Awaitable[None]],
    operations: Operations,
    shut_down: Callable[[], None],
) -> APIRouter:
    """`shut_down` asks the controller to end; it answers what it has begun."""
    router = APIRouter(prefix="/hub")

    @router.get("/status")
    async def show_status(fresh: bool = False) -> HubStatus:
        """From the last look, a second or two old; `fresh`: look first."""
        if fresh:
            await look_at_all()
        return status()

    @router.post("/reload")
    async def reload() -> ReloadResult:
        return await operations.reload()

    @router.post("/models/{name}/{action}")
    async def act(name: str, action: ModelAction) -> ActionResult:
        return await operations.act(name, action)

    @router.post("/start-all")
    async def start_all() -> BulkResult:
        return await operations.act_on_all("start")

    @router.post("/stop-all")
    async def stop_all() -> BulkResult:
        return await operations.act_on_all("stop")

    @router.post("/shutdown")
    async def shutdown() -> ActionResult:
        shut_down()
        return ActionResult(name="controller", ok=True, message="The controller ends. Its models serve on.")

    return router
