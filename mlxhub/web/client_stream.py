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
        self._silence: asyncio.TimerHandle | None = None
        self._filling: asyncio.Task[None] | None = None
        self.has_begun = False

    def fill_silence(self) -> None:
        """Until `stop_filling`, which has to come."""
        # Most are answered long before, so that there is no task until then.
        self._silence = asyncio.get_running_loop().call_later(self._keepalive_seconds, self._begin_filling)

    async def stop_filling(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None
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

    def _begin_filling(self) -> None:
        self._filling = asyncio.create_task(self._fill())

    async def _fill(self) -> None:
        said = keepalive(self._scope["path"])
        self.has_begun = True
        headers = [(name.encode(), value.encode()) for name, value in CONTENT_TYPE.items()]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        while True:
            await self._send(body_message(said, more=True))
            await asyncio.sleep(self._keepalive_seconds)


def body_message(body: bytes, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}
