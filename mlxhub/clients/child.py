"""Requests to a server that runs as our child, on a port of this machine that only we know of."""

import asyncio
import http.client
import socket
from contextlib import closing, suppress

from mlxhub.clients.connection import Connection, ConnectionLost
from mlxhub.clients.headers import Headers, request_head

HOST = "127.0.0.1"
CONNECT_SECONDS = 5.0
HEALTH_SECONDS = 2.0


async def ask_child(port: int, method: str, target: bytes, headers: Headers, body: bytes) -> Connection:
    """A connection of its own, whose head may come yet. Raises ConnectionLost."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, connection = await loop.create_connection(
                lambda: Connection(loop, lambda _lost: None), HOST, port
            )
    except (OSError, TimeoutError):
        raise ConnectionLost from None
    connection.send(request_head(method, target, port, headers, len(body)), body)
    return connection


def is_healthy(port: int, path: str) -> bool:
    """Whether it answers there with 200. Blocks for HEALTH_SECONDS at most."""
    connection = http.client.HTTPConnection(HOST, port, timeout=HEALTH_SECONDS)
    with closing(connection), suppress(OSError, http.client.HTTPException):
        connection.request("GET", path)
        return connection.getresponse().status == 200
    return False


def free_port() -> int:
    """One that nobody listens on, at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
