"""The daemon's socket: one JSON line in, one JSON line out, and no client can hold up another."""

import asyncio
import json
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


async def serve(state: Path, domain: Domain) -> asyncio.Server:
    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if _peer_uid(writer) == os.getuid() and (line := await _read_line(reader)):
                request = _parse(line)
                malformed = Answer(darwin.USAGE, "", "Malformed request.\n")
                await _send(malformed if request is None else await carry_out(request, domain), writer)
        finally:
            writer.transport.abort()

    return await asyncio.start_unix_server(converse, sock=_listen(state), limit=LARGEST_REQUEST_BYTES)


async def _read_line(reader: asyncio.StreamReader) -> bytes:
    """Nothing from a client that is gone, silent for too long, or says too much."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await reader.readline()
    except (OSError, TimeoutError, ValueError):
        return b""


async def _send(answer: Answer, writer: asyncio.StreamWriter) -> None:
    message = {"rc": answer.rc, "stdout": answer.stdout, "stderr": answer.stderr}
    writer.transport.set_write_buffer_limits(0)  # makes drain wait for the last byte
    writer.write(json.dumps(message).encode() + b"\n")
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


def _parse(line: bytes) -> Request | None:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return None
    match message:
        case {"argv": [*words], "cwd": str() as cwd, "tty": bool() as is_tty}:
            argv = tuple(word for word in words if isinstance(word, str))
            return Request(argv, cwd, is_tty) if len(argv) == len(words) else None
        case _:
            return None
