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


async def serve(state: Path, domain: Domain) -> asyncio.Server:
    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if _peer_uid(writer) == os.getuid() and (content := await _read(reader)):
                request = _parse(content)
                malformed = Answer(darwin.USAGE, "", "Malformed request.\n")
                await _send(malformed if request is None else await carry_out(request, domain), writer)
        finally:
            writer.transport.abort()

    return await asyncio.start_unix_server(converse, sock=_listen(state), backlog=BACKLOG)


async def _read(reader: asyncio.StreamReader) -> bytes:
    """Nothing from a client that is gone, silent for too long, or says too much."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await reader.readexactly(LARGEST_REQUEST_BYTES)
    except asyncio.IncompleteReadError as whole:  # as it should be: the stream ended first
        return whole.partial
    except (OSError, TimeoutError):
        pass
    return b""


async def _send(answer: Answer, writer: asyncio.StreamWriter) -> None:
    writer.transport.set_write_buffer_limits(0)  # makes drain wait for the last byte
    words = (text.replace("\0", "") for text in (str(answer.rc), answer.stdout, answer.stderr))
    writer.write(os.fsencode("".join(f"{word}\0" for word in words)))
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(PATIENCE_SECONDS):
            await writer.drain()


def _listen(state: Path) -> socket.socket:
    """Bound through the open directory, because a socket's address may have 107 bytes only."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    directory = os.open(state, os.O_PATH | os.O_DIRECTORY)
    try:
        (state / "sock").unlink(missing_ok=True)
        listener.bind(f"/proc/self/fd/{directory}/sock")
    finally:
        os.close(directory)
    (state / "sock").chmod(0o600)
    return listener


def _peer_uid(writer: asyncio.StreamWriter) -> int:
    connection: socket.socket = writer.get_extra_info("socket")
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])


def _parse(content: bytes) -> Request | None:
    match os.fsdecode(content).split("\0"):
        case ["tty" | "" as tty, cwd, *argv, ""] if cwd.startswith("/"):
            return Request(tuple(argv), cwd, is_tty=tty == "tty")
        case _:
            return None
