"""From the admin key to a browser's session: a link that works once, and what it is exchanged for."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlxhub.controller.sessions import SESSION_SECONDS, TOKEN_SECONDS, Sessions
from mlxhub.protocol.hub import OpenSession, Unlocked, UnlockToken
from mlxhub.web.bodies import whole_body
from mlxhub.web.responses import model_response


def unlocking_routes(sessions: Sessions) -> list[Route]:
    async def make_token(_request: Request) -> Response:
        """For the fragment of a link, which browsers send to nobody."""
        return model_response(UnlockToken(token=sessions.make_token(), seconds=TOKEN_SECONDS))

    async def open_session(request: Request) -> Response:
        """What the page then sends as `Authorization: Bearer`."""
        asked = OpenSession.model_validate_json(await whole_body(request.receive))
        return model_response(Unlocked(session=sessions.open(asked.token), seconds=SESSION_SECONDS))

    return [
        Route("/hub/unlock", make_token, methods=["POST"]),
        Route("/hub/session", open_session, methods=["POST"]),
    ]
