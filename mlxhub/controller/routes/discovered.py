"""Models on this machine's disks, and their way into hub.yaml and out of it."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlxhub.controller.collaborators import Catalogue
from mlxhub.controller.discoveries import Discoveries
from mlxhub.protocol.hub import ActionResult
from mlxhub.protocol.registry import DisableModel, EnableModel
from mlxhub.web.bodies import whole_body
from mlxhub.web.responses import model_response


def discovered_routes(discoveries: Discoveries, catalogue: Catalogue) -> list[Route]:
    """What is written into hub.yaml holds from the next reload on."""

    async def show(_request: Request) -> Response:
        return model_response(discoveries.view())

    async def rescan(_request: Request) -> Response:
        discoveries.begin()
        return model_response(discoveries.view())

    async def enable(request: Request) -> Response:
        wanted = EnableModel.model_validate_json(await whole_body(request.receive))
        name = await asyncio.to_thread(catalogue.enable, wanted.model, wanted.name)
        discoveries.begin()
        said = f'Model "{name}" is in hub.yaml now. A reload starts it.'
        return model_response(ActionResult(name=name, ok=True, message=said))

    async def disable(request: Request) -> Response:
        name = DisableModel.model_validate_json(await whole_body(request.receive)).model
        await asyncio.to_thread(catalogue.disable, name)
        discoveries.begin()
        said = f'Model "{name}" is a comment in hub.yaml now. A reload stops it.'
        return model_response(ActionResult(name=name, ok=True, message=said))

    return [
        Route("/hub/discovered", show),
        Route("/hub/discovered/rescan", rescan, methods=["POST"]),
        Route("/hub/discovered/enable", enable, methods=["POST"]),
        Route("/hub/discovered/disable", disable, methods=["POST"]),
    ]
