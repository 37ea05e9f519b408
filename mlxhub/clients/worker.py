"""What the hub asks of one worker besides requests.

On our own Upstream rather than httpx: the controller asks each worker every second or two, and so never
imports httpx at all.
"""

import asyncio

from pydantic import ValidationError

from mlxhub.clients.connection import ConnectionLost
from mlxhub.clients.headers import Headers
from mlxhub.clients.remote_error import remote_error
from mlxhub.clients.upstream import Trust, Upstream
from mlxhub.core.lifecycle import LOAD_SECONDS
from mlxhub.errors import WorkerHangs, WorkerSilent
from mlxhub.protocol.errors import RemoteError
from mlxhub.protocol.worker import WorkerStatus

STATUS_SECONDS = 2.0
UNLOAD_SECONDS = 60.0
_MAX_ORDERS = 16
_HEADERS: Headers = [(b"content-type", b"application/json"), (b"accept", b"application/json")]


class WorkerClient:
    """Raises WorkerSilent where no answer comes in time, RemoteError with the error it answered."""

    def __init__(self, name: str, port: int, trust: Trust) -> None:
        self.name = name
        self.port = port
        # Loads may hang for minutes; they must not keep anybody from asking how the worker is.
        self._questions = Upstream(name, port, trust)
        self._orders = Upstream(name, port, trust, max_connections=_MAX_ORDERS)

    async def status(self) -> WorkerStatus:
        content = await self._call(self._questions, "GET", b"/status", STATUS_SECONDS)
        try:
            return WorkerStatus.model_validate_json(content)
        except ValidationError:
            raise WorkerSilent(self.name, f"what answers on port {self.port} is no worker.") from None

    async def is_ready(self) -> bool:
        """Whether it says that it can serve requests."""
        try:
            await self._call(self._questions, "GET", b"/readyz", STATUS_SECONDS)
        except (WorkerSilent, RemoteError):
            return False
        return True

    async def load(self, seconds: float = LOAD_SECONDS) -> None:
        """Returns when the weights are in memory."""
        await self._call(self._orders, "POST", b"/load", seconds)

    async def unload(self, *, if_idle: bool = False, seconds: float = UNLOAD_SECONDS) -> None:
        """Returns when the weights are out of memory; running requests get time to end.

        `if_idle`: RemoteError, `model_busy`, where there are any.
        """
        await self._call(self._orders, "POST", b"/unload?if_idle=1" if if_idle else b"/unload", seconds)

    def hang_up(self) -> bool:
        """On a worker that hangs: who waits for what it was told to do gets WorkerSilent. Whether any did."""
        return self._orders.close()

    def close(self) -> None:
        self._questions.close()
        self._orders.close()

    async def _call(self, upstream: Upstream, method: str, target: bytes, seconds: float) -> bytes:
        body = b"{}" if method == "POST" else b""
        try:
            async with asyncio.timeout(seconds):
                status, content = await _exchange(upstream, method, target, body)
        except TimeoutError:
            raise WorkerHangs(self.name, f"no answer on port {self.port} within {seconds:g} s.") from None
        except ConnectionLost:
            raise WorkerSilent(self.name, f"port {self.port} broke off its answer.") from None
        if status != 200:
            raise remote_error(status, content, source=f'The worker of model "{self.name}"')
        return content


async def _exchange(upstream: Upstream, method: str, target: bytes, body: bytes) -> tuple[int, bytes]:
    response = await upstream.ask(method, target, _HEADERS, body)
    chunks: list[bytes] = []
    try:
        while (chunk := await response.next_chunk()) is not None:
            chunks.append(chunk)
        return response.status, b"".join(chunks)
    finally:
        upstream.release(response)
