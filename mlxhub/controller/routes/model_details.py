"""One model, closer: its log as it grows, and the last hour."""

import asyncio
from collections.abc import AsyncGenerator, Callable

from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlxhub.controller.history import History
from mlxhub.controller.hub_in_use import HubInUse
from mlxhub.files.log_reading import LogReader
from mlxhub.protocol.hub import LogLines
from mlxhub.protocol.sse import data_event
from mlxhub.web.responses import model_response
from mlxhub.web.streams import EventStream

_LOOK_EVERY_SECONDS = 0.3
# At once: a page shows no more, and a log that was written for weeks has more than anybody waits for.
MOST_LINES = 1000
_MOST_BYTES = 1_000_000


class _Wanted(BaseModel):
    lines: int = Field(200, ge=0, le=MOST_LINES)
    follow: bool = False


def model_detail_routes(hub: HubInUse, history: History, is_ending: Callable[[], bool]) -> list[Route]:
    """`is_ending`: whoever follows a log is let go then, so that nobody waits for that."""

    async def show_log(request: Request) -> Response:
        wanted = _Wanted.model_validate(dict(request.query_params))
        model = hub.value.named(request.path_params["name"])
        return EventStream(_lines(LogReader(model.log), wanted, is_ending))

    async def show_history(request: Request) -> Response:
        return model_response(history.of(hub.value.named(request.path_params["name"]).name))

    return [
        Route("/hub/models/{name}/logs", show_log),
        Route("/hub/models/{name}/history", show_history),
    ]


async def _lines(
    reader: LogReader, wanted: _Wanted, is_ending: Callable[[], bool]
) -> AsyncGenerator[bytes, None]:
    """Whole lines, as they stand there: none but one without end is cut in two between events."""
    rest = b""
    try:
        said = (await asyncio.to_thread(reader.last_lines, wanted.lines))[-_MOST_BYTES:]
        while True:
            *whole, rest = (rest + said).split(b"\n")
            if len(rest) > _MOST_BYTES:  # what a native library prints may never end a line
                whole, rest = [*whole, rest], b""
            if whole:
                yield data_event(_said(whole))
            if not wanted.follow or is_ending():
                if rest:
                    yield data_event(_said([rest]))
                return
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
            said = await asyncio.to_thread(lambda: b"".join(reader.more()))
    finally:
        reader.close()


def _said(lines: list[bytes]) -> bytes:
    return LogLines(lines=[line.decode(errors="replace") for line in lines]).model_dump_json().encode()
