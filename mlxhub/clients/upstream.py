"""The keep-alive connections to one worker.

Not httpx: its pool was measured at a millisecond of CPU per token with 1,000 streams.
"""

import asyncio
import secrets
from collections import deque
from typing import Protocol

from pydantic import ValidationError

from mlxhub.clients.connection import Connection, ConnectionLost
from mlxhub.clients.headers import Headers, request_head
from mlxhub.errors import WorkerSilent
from mlxhub.protocol.worker import Identity
from mlxhub.refusals import QueueFull


class Trust(Protocol):
    """How a hub and its workers know each other."""

    def sign(self, method: str, port: int, target: bytes) -> Headers:
        """The headers that prove to the worker on `port` that its hub asks."""

    def is_worker(self, port: int, nonce: str, proof: str) -> bool:
        """Whether only the hub's worker on `port` can have said `proof` to `nonce`."""


HOST = "127.0.0.1"
CONNECT_SECONDS = 2.0
# One that loads, or whose machine is busy, may take its time.
IDENTITY_SECONDS = 30.0
MAX_CONNECTIONS = 2048
MAX_IDLE_CONNECTIONS = 64
# Below the 75 s after which a worker closes an idle connection.
IDLE_SECONDS = 30.0
# A connection the worker had closed already shows at once; later, it is the worker that died at this request.
STALE_SECONDS = 1.0
_NONCE_BYTES = 16
_MOST_IDENTITY_BYTES = 1024
_STRANGER = "is no worker of this hub"


class WorkerUnreachable(WorkerSilent):
    """No connection came about: the worker has seen nothing of the request."""


class Upstream:
    """One worker's port. Needs no closing: an idle connection is let go by either side."""

    def __init__(self, name: str, port: int, trust: Trust, *, max_connections: int = MAX_CONNECTIONS) -> None:
        self.name = name
        self.port = port
        self._trust = trust
        self._max_connections = max_connections
        self._open: set[Connection] = set()
        self._connecting = 0
        self._idle: deque[Connection] = deque()

    async def ask(self, method: str, target: bytes, headers: Headers, body: bytes) -> Connection:
        """Send a request and wait for the response's head. `release` the connection whatever comes of it.

        A second attempt is made only where the worker cannot have begun with the first.
        Raises WorkerUnreachable, WorkerSilent or QueueFull; `next_chunk` raises ConnectionLost.
        """
        signed = [*headers, *self._trust.sign(method, self.port, target)]
        head = request_head(method, target, self.port, signed, len(body))
        reused = self._take_idle()
        if reused is not None:
            try:
                return await _ask(reused, head, body)
            except ConnectionLost:
                waited = asyncio.get_running_loop().time() - reused.sent_at
                if reused.answering or waited > STALE_SECONDS:
                    raise self._died() from None
                self._drop_idle()
        fresh = await self._connect()
        try:
            return await _ask(fresh, head, body)
        except ConnectionLost:
            raise self._died() from None

    def release(self, connection: Connection) -> None:
        """Before the body's end this aborts the connection, so that the worker stops working for it."""
        if connection.make_reusable() and len(self._idle) < MAX_IDLE_CONNECTIONS:
            self._idle.append(connection)
        else:
            connection.abort()

    def close(self) -> bool:
        """Drop every connection, also those in use; whether there were any."""
        dropped = tuple(self._open)
        self._idle.clear()
        for connection in dropped:
            connection.abort()
        return bool(dropped)

    def _take_idle(self) -> Connection | None:
        now = asyncio.get_running_loop().time()
        while self._idle:
            connection = self._idle.pop()
            if connection.usable and now - connection.idle_since < IDLE_SECONDS:
                return connection
            connection.abort()
        return None

    def _drop_idle(self) -> None:
        while self._idle:
            self._idle.pop().abort()

    async def _connect(self) -> Connection:
        if len(self._open) + self._connecting >= self._max_connections:
            raise QueueFull(len(self._open) + self._connecting)
        loop = asyncio.get_running_loop()
        self._connecting += 1
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, connection = await loop.create_connection(
                    lambda: Connection(loop, self._open.discard), HOST, self.port
                )
        except (OSError, TimeoutError) as error:
            said = error.strerror or "no answer"
            raise WorkerUnreachable(self.name, f"port {self.port} takes no connection ({said}).") from error
        finally:
            self._connecting -= 1
        # One that is lost already has told so and would never leave.
        if connection.usable:
            self._open.add(connection)
        try:
            async with asyncio.timeout(IDENTITY_SECONDS):
                await self._identify(connection)
        except BaseException as error:
            connection.abort()
            match error:
                case TimeoutError():
                    raise self._unreachable(f"has not said who it is within {IDENTITY_SECONDS:g} s") from None
                case ConnectionLost():
                    raise self._unreachable("ended the connection without saying who it is") from None
            raise
        return connection

    async def _identify(self, connection: Connection) -> None:
        """Before anything else is sent: another process may have taken a port since its worker died."""
        nonce = secrets.token_hex(_NONCE_BYTES)
        connection.send(request_head("GET", f"/identity/{nonce}".encode(), self.port, [], 0), b"")
        await connection.head()
        said = bytearray()
        while (chunk := await connection.next_chunk()) is not None:
            said += chunk
            if len(said) > _MOST_IDENTITY_BYTES:
                raise self._unreachable(_STRANGER)
        try:
            identity = Identity.model_validate_json(said)
        except ValidationError:
            raise self._unreachable(_STRANGER) from None
        proven = self._trust.is_worker(self.port, nonce, identity.proof)
        if not proven or not connection.make_reusable():
            raise self._unreachable(_STRANGER)

    def _unreachable(self, what: str) -> WorkerUnreachable:
        return WorkerUnreachable(self.name, f"what answers on port {self.port} {what}.")

    def _died(self) -> WorkerSilent:
        return WorkerSilent(self.name, f"the connection to port {self.port} ended before an answer came.")


async def _ask(connection: Connection, head: bytes, body: bytes) -> Connection:
    try:
        connection.send(head, body)
        await connection.head()
    except BaseException:
        connection.abort()
        raise
    return connection
