"""From the admin key to a browser's session: a link that works once, and what it is exchanged for."""

from fastapi import APIRouter

from mlxhub.controller.sessions import SESSION_SECONDS, TOKEN_SECONDS, Sessions
from mlxhub.protocol.hub import OpenSession, Unlocked, UnlockToken


def unlocking_routes(sessions: Sessions) -> APIRouter:
    router = APIRouter(prefix="/hub")

    @router.post("/unlock")
    async def make_token() -> UnlockToken:
        """For the fragment of a link, which browsers send to nobody."""
        return UnlockToken(token=sessions.make_token(), seconds=TOKEN_SECONDS)

    @router.post("/session")
    async def open_session(asked: OpenSession) -> Unlocked:
        """What the page then sends as `Authorization: Bearer`."""
        return Unlocked(session=sessions.open(asked.token), seconds=SESSION_SECONDS)

    return router
