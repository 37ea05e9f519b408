"""GET /v1/models: instant, and never loads anything."""

import time
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mlxhub.worker.model_service import ModelService


class ModelRoutes:
    def __init__(self, service: ModelService) -> None:
        self._service = service
        self._created = int(time.time())

    async def list(self, _request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [self._model()]})

    async def get(self, request: Request) -> Response:
        self._service.check_model(request.path_params["model_id"])
        return JSONResponse(self._model())

    def _model(self) -> dict[str, Any]:
        settings = self._service.settings
        loaded = self._service.residency.model
        return {
            "id": settings.name,
            "object": "model",
            "created": self._created,
            "owned_by": "mlxhub",
            "meta": {
                "type": self._service.model_type,
                "state": self._service.state,
                "aliases": settings.aliases,
                "port": settings.port,
                "context_length": settings.context_length if loaded is None else loaded.context_length,
            },
        }
