"""`GET /hub/events`: what happens, as it happens."""

from collections.abc import AsyncGenerator

from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlxhub.controller.events import EventLog
from mlxhub.protocol.sse import identified_event
from mlxhub.web.streams import EventStream


class _Wanted(BaseModel):
    """`after`: the id of the last event that is known already. `follow`: also those to come."""

    after: str | None = Field(None, max_length=100)
    follow: bool = False


def event_routes(log: EventLog) -> list[Route]:
    async def follow_events(request: Request) -> Response:
        """A browser's own client says `Last-Event-ID` when it comes back."""
        wanted = _Wanted.model_validate(dict(request.query_params))
        after = wanted.after or request.headers.get("last-event-id")
        return EventStream(_stream(log, after, follow=wanted.follow))

    return [Route("/hub/events", follow_events)]


async def _stream(log: EventLog, after: str | None, *, follow: bool) -> AsyncGenerator[bytes, None]:
    async for event in log.events(after, follow=follow):
        yield identified_event(event.id, event.kind, event.model_dump_json(exclude_none=True).encode())
