"""Whether the controller is alive and ready. Says nothing about models: they live without it."""

from collections.abc import Callable

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlxhub.web.responses import model_response


class Health(BaseModel):
    status: str


def health_routes(is_ready: Callable[[], bool]) -> list[Route]:
    """Ready: every model was looked at once, so that routing goes by facts."""

    async def live(_request: Request) -> Response:
        return model_response(Health(status="ok"))

    async def ready(_request: Request) -> Response:
        return (
            model_response(Health(status="ok"))
            if is_ready()
            else model_response(Health(status="starting"), 503)
        )

    return [Route("/health", live), Route("/livez", live), Route("/readyz", ready)]
