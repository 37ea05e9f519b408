"""Models that are being pulled."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlxhub.controller.pulls import Pulls
from mlxhub.protocol.registry import PullModel
from mlxhub.web.bodies import whole_body
from mlxhub.web.responses import model_response


def pull_routes(pulls: Pulls) -> list[Route]:
    async def show(_request: Request) -> Response:
        return model_response(pulls.views())

    async def add(request: Request) -> Response:
        wanted = PullModel.model_validate_json(await whole_body(request.receive))
        return model_response(pulls.add(wanted.model), status=202)

    async def cancel(request: Request) -> Response:
        return model_response(pulls.cancel(request.path_params["id"]))

    return [
        Route("/hub/pulls", show),
        Route("/hub/pulls", add, methods=["POST"]),
        Route("/hub/pulls/{id}", cancel, methods=["DELETE"]),
    ]
