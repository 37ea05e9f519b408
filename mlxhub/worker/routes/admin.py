"""POST /load and /unload."""

from starlette.requests import Request
from starlette.responses import Response

from mlxhub.worker.model_service import ModelService
from mlxhub.worker.routes.health import HealthRoutes

_YES = ("1", "true", "yes")


class AdminRoutes:
    """Both answer with the status once the fact holds. A client that leaves changes nothing."""

    def __init__(self, service: ModelService, health: HealthRoutes) -> None:
        self._service = service
        self._health = health

    async def load(self, request: Request) -> Response:
        await self._service.load()
        return await self._health.status(request)

    async def unload(self, request: Request) -> Response:
        await self._service.unload(if_idle=request.query_params.get("if_idle", "").lower() in _YES)
        return await self._health.status(request)
