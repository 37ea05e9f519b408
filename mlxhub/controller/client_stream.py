"""A stream that a client waits for while its model is not there yet: kept alive, in the way of its API."""

import asyncio

from starlette.types import Message, Scope, Send

from mlxhub.errors import MlxhubError
from mlxhub.protocol.dialects import broken_off, keepalive
from mlxhub.protocol.errors import RemoteError, client_envelope, http_error
from mlxhub.web.request_id import request_id
from mlxhub.web.streams import CONTENT_TYPE, KEEPALIVE_SECONDS

EVENT_END = b"\n\n"


class ClientStream:
    """Begins by itself after a silence. From then on every end has to be an event."""

    def __init__(self, scope: Scope, send: Send, keepalive_seconds: float = KEEPALIVE_SECONDS) -> None:
        self._scope = scope
        self._send = send
        self._keepalive_seconds = keepalive_seconds
        self._filling: asyncio.Task[None] | None = None
        self.has_begun = False

    def fill_silence(self) -> None:
        """Until `stop_filling`, which has to come."""
        self._filling = asyncio.create_task(self._fill())

    async def stop_filling(self) -> None:
        filling, self._filling = self._filling, None
        if filling is not None:
            filling.cancel()
            await asyncio.gather(filling, return_exceptions=True)

    async def break_off(self, error: MlxhubError, last: bytes = EVENT_END) -> None:
        """End it with an event that says so. `last`: what came last."""
        told = RemoteError(http_error(error).status, client_envelope(error).error)
        said = broken_off(self._scope["path"], told, request_id(self._scope), last)
        begin = b"" if last.endswith(EVENT_END) else EVENT_END
        await self._send(body_message(begin + said, more=False))

    async def _fill(self) -> None:
        said = keepalive(self._scope["path"])
        while True:
            await asyncio.sleep(self._keepalive_seconds)
            if not self.has_begun:
                self.has_begun = True
                headers = [(name.encode(), value.encode()) for name, value in CONTENT_TYPE.items()]
                await self._send({"type": "http.response.start", "status": 200, "headers": headers})
            await self._send(body_message(said, more=True))


def body_message(body: bytes, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}
