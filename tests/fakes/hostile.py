"""Servers that do harm, on real sockets, and a canary that nobody may touch."""

import asyncio
import contextlib
import os
import socket
import ssl
import struct
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address

import httpcore

from mlxhub.clients.outbound import Outbound, OutboundLimits, OutboundRules

Address = IPv4Address | IPv6Address
Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

HOST = "hostile.example"
HOME = ip_address("127.0.0.1")
PUBLIC = ip_address("93.184.216.34")


@dataclass
class Listener:
    """What came to a server. `received` is for a canary, `heads` to `names` (asked for by TLS) for others."""

    port: int = 0
    connections: int = 0
    open: int = 0
    most_open: int = 0
    received: bytes = b""
    heads: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}/"


@contextlib.asynccontextmanager
async def listening(script: Script | None, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Listener]:
    """A server that answers each request as `script` writes; a canary without one."""
    listener = Listener()
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        listener.connections += 1
        listener.open += 1
        listener.most_open = max(listener.open, listener.most_open)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                if script is None:
                    listener.received += await reader.read()
                else:
                    await answer(reader, writer, script)
        finally:
            listener.open -= 1
            writer.close()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, script: Script) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        listener.heads.append(head.lower())
        length = head.lower().partition("content-length: ")[2].partition("\r\n")[0]
        listener.bodies.append(await reader.readexactly(int(length or 0)))
        await script(reader, writer)
        await writer.drain()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(serve(reader, writer))
        serving.add(task)
        task.add_done_callback(serving.discard)

    if tls is not None:
        tls.sni_callback = lambda _object, name, _context: listener.names.append(name)
    server = await asyncio.start_server(accept, str(HOME), 0, ssl=tls)
    listener.port = server.sockets[0].getsockname()[1]
    try:
        yield listener
    finally:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


def saying(answer: bytes) -> Script:
    async def say(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    return say


async def say_without_end(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"x" * 65_536)
        await writer.drain()


async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


async def drip_a_head(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while not writer.is_closing():
        writer.write(b"a: b\r\n")
        await writer.drain()
        await asyncio.sleep(0.02)


async def promise_for_ever(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while not writer.is_closing():
        writer.write(b"HTTP/1.1 102 Processing\r\n\r\n" * 100)
        await writer.drain()


async def say_nothing(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def say_what_is_no_tls(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    os.write(writer.get_extra_info("socket").fileno(), b"HTTP/1.1 200 OK\r\n\r\n")
    await asyncio.sleep(0.1)


async def reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    with socket.socket(fileno=os.dup(writer.get_extra_info("socket").fileno())) as same:
        same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Names:
    """A name server that gives one answer after the other, and the last one from then on."""

    def __init__(self, *answers: tuple[Address, ...]) -> None:
        self.asked: list[str] = []
        self._answers = answers

    async def __call__(self, name: str) -> tuple[Address, ...]:
        self.asked.append(name)
        return self._answers[min(len(self.asked), len(self._answers)) - 1]


class Network(httpcore.AsyncNetworkBackend):
    """The real one without the internet, whose servers refuse connections or say nothing.

    `port`: where every connection ends, whatever was asked for. Keeps its streams: dropped is not closed.
    """

    def __init__(self, *, port: int | None = None, silent: bool = False) -> None:
        self.dialled: list[str] = []
        self._port = port
        self._silent = silent
        self._real = httpcore.AnyIOBackend()
        self._streams: list[httpcore.AsyncNetworkStream] = []

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  httpcore's
        **_: object,
    ) -> httpcore.AsyncNetworkStream:
        self.dialled.append(host)
        if self._port is not None:
            host, port = str(HOME), self._port
        if ip_address(host).is_global and self._silent:
            await asyncio.sleep(3600 if timeout is None else timeout)
            raise httpcore.ConnectTimeout
        if ip_address(host).is_global:
            raise httpcore.ConnectError
        stream = await self._real.connect_tcp(host, port, timeout)
        self._streams.append(stream)
        return stream


def outbound_to(
    listener: Listener,
    *,
    host: str = HOST,
    limits: OutboundLimits | None = None,
    tls: ssl.SSLContext | None = None,
) -> Outbound:
    """One that may ask `listener`, because the rules list its very host."""
    rules = OutboundRules(frozenset({host}), frozenset({host}), frozenset({listener.port}))
    return Outbound(
        rules,
        limits=limits,
        resolve=Names((HOME,)),
        own_addresses=lambda: (),
        network=Network(),
        tls=tls or client_tls(),
    )


def client_tls() -> ssl.SSLContext:
    """Trusts the servers here and no others."""
    return ssl.create_default_context(cadata=CERTIFICATE)


def server_tls() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(KEY + CERTIFICATE)
        file.flush()
        context.load_cert_chain(file.name)
    return context


# For hostile.example until 2120, made for these tests; it protects nothing.
KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg8P+l0OtU2v00gKQX
liSlZ0DvqmflgjusPtsyo5gZQIyhRANCAAQMuJLGtE1tzFao0wGlD6+X5Pcmo5Wv
+v8OwGc78OP81txim3O+WOnmGdsoL3KgxrB0R8Dfu7gByMvMkitRcfOV
-----END PRIVATE KEY-----
"""
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBczCCARmgAwIBAgIBATAKBggqhkjOPQQDAjAaMRgwFgYDVQQDDA9ob3N0aWxl
LmV4YW1wbGUwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBoxGDAW
BgNVBAMMD2hvc3RpbGUuZXhhbXBsZTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IA
BAy4ksa0TW3MVqjTAaUPr5fk9yajla/6/w7AZzvw4/zW3GKbc75Y6eYZ2ygvcqDG
sHRHwN+7uAHIy8ySK1Fx85WjTjBMMBoGA1UdEQQTMBGCD2hvc3RpbGUuZXhhbXBs
ZTAPBgNVHRMBAf8EBTADAQH/MB0GA1UdDgQWBBSB1ksuao08tSCN45FXe+v2JUDt
pTAKBggqhkjOPQQDAgNIADBFAiEAyIY/5Uhv3idwaNcfC4Lwg1ztmnjgjBTgH2Jb
TlofA3UCIAbYYFL1VuKiymDzCq8WARmO5yy5F6crcfZ/MkgbLxZF
-----END CERTIFICATE-----
"""
