"""The daemon's socket: words with a NUL behind each in both directions, and no client holds up another."""

import asyncio
import os
import socket
import struct
from contextlib import suppress
from pathlib import Path

from mlxhub.standin import darwin
from mlxhub.standin.domain import Domain
from mlxhub.standin.verbs import Answer, Request, carry_out

PATIENCE_SECONDS = 3.0
LARGEST_REQUEST_BYTES = 1 << 16
BACKLOG = 1024


async def serve(domain: Domain) -> asyncio.Server:
    """In the current directory, because a socket's address may have 107 bytes only."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if _peer_uid(writer) == os.getuid() and (content := await _read(reader)) is not None:
                request = _parse(content)
                malformed = Answer(darwin.USAGE, "", "Malformed request.\n")
                await _send(malformed if request is None else await carry_out(request, domain), writer)
        finally:
            writer.transport.abort()

    server = await asyncio.start_unix_server(converse, "sock", backlog=BACKLOG)
    Path("sock").chmod(0o600)  # noqa: ASYNC240 - takes no time
    return server


async def _read(reader: asyncio.StreamReader) -> bytes | None:
    """None from a client that is gone or silent for too long.

    What is too large is read to its end and cut, or the client could not send all and then hear the answer.
    """
    content = b""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while piece := await reader.read(LARGEST_REQUEST_BYTES):
                content = (content + piece)[: LARGEST_REQUEST_BYTES + 1]
    except (OSError, TimeoutError):
        return None
    return content


async def _send(answer: Answer, writer: asyncio.StreamWriter) -> None:
    writer.transport.set_write_buffer_limits(0)  # makes drain wait for the last byte
    words = (text.replace("\0", "") for text in (str(answer.rc), answer.stdout, answer.stderr))
    writer.write(os.fsencode("".join(f"{word}\0" for word in words)))
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(PATIENCE_SECONDS):
            await writer.drain()


def _peer_uid(writer: asyncio.StreamWriter) -> int:
    connection: socket.socket = writer.get_extra_info("socket")
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])


def _parse(content: bytes) -> Request | None:
    words = [] if len(content) > LARGEST_REQUEST_BYTES else os.fsdecode(content).split("\0")
    match words:
        case ["tty" | "" as tty, cwd, *argv, ""] if cwd.startswith("/"):
            return Request(tuple(argv), cwd, is_tty=tty == "tty")
        case _:
            return None
