"""Whether the controller is alive and ready. Says nothing about models: they live without it."""

from collections.abc import Callable

from fastapi import APIRouter, Response
from pydantic import BaseModel


class Health(BaseModel):
    status: str


def health_routes(is_ready: Callable[[], bool]) -> APIRouter:
    """Ready: every model was looked at once, so that routing goes by facts."""
    router = APIRouter()

    @router.get("/health")
    @router.get("/livez")
    async def live() -> Health:
        return Health(status="ok")

    @router.get("/readyz")
    async def ready(response: Response) -> Health:
        if is_ready():
            return Health(status="ok")
        response.status_code = 503
        return Health(status="starting")

    return router
