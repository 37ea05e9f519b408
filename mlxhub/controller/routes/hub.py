"""The hub as a whole: how it is, reading hub.yaml again, and the end of the controller."""

from collections.abc import Awaitable, Callable

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlxhub.controller.operations import Operations
from mlxhub.protocol.hub import ActionResult, HubStatus
from mlxhub.web.responses import model_response


class _Shown(BaseModel):
    fresh: bool = False


def hub_routes(
    status: Callable[[], HubStatus],
    ask_all: Callable[[], Awaitable[None]],
    operations: Operations,
    shut_down: Callable[[], None],
) -> list[Route]:
    """`shut_down` asks the controller to end; it answers what it has begun."""

    async def show_status(request: Request) -> Response:
        """From the last look, a second or two old; `fresh`: ask every worker first."""
        if _Shown.model_validate(dict(request.query_params)).fresh:
            await ask_all()
        return model_response(status())

    async def reload(_request: Request) -> Response:
        return model_response(await operations.reload())

    async def shutdown(_request: Request) -> Response:
        shut_down()
        said = "The controller ends. Its models serve on."
        return model_response(ActionResult(name="controller", ok=True, message=said))

    return [
        Route("/hub/status", show_status),
        Route("/hub/reload", reload, methods=["POST"]),
        Route("/hub/shutdown", shutdown, methods=["POST"]),
    ]
