"""Clients that read streams, and note when their tokens came, when they had all, and when they left."""

import asyncio
import json
import random
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import cast

from front_servers import STREAMS, Front
from installed_hub import HOST

LIMIT_SECONDS = 120
_OK = b"HTTP/1.1 200 "
_END = b"0\r\n\r\n"


@dataclass(slots=True)
class Stream:
    """`at`: when something of it came. `over`: when it had ended."""

    at: list[float] = field(default_factory=list)
    over: float | None = None
    is_ok: bool = False


class _Client(asyncio.Protocol):
    """Costs little: it must not be what is measured."""

    def __init__(self, request: bytes) -> None:
        loop = asyncio.get_running_loop()
        self.stream = Stream()
        self.begun: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        self._request = request

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        stream = self.stream
        stream.at.append(time.monotonic())
        if len(stream.at) == 1:
            stream.is_ok = data.startswith(_OK)
        if b"data: " in data and not self.begun.done():
            self.begun.set_result(None)
        if data.endswith(_END):
            stream.over = stream.at[-1]
            self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        for future in (self.begun, self.ended):
            if not future.done():
                future.set_result(None)


async def flood(front: Front, streams: int, tokens: int) -> float:
    """Tokens a second that come of streams which a worker says as fast as it can."""
    clients = await _connected(front, streams, _request(front, tokens=tokens))
    begun = time.monotonic()
    await _all_ended(clients)
    ends = [client.stream.over for client in clients if client.stream.over is not None]
    if len(ends) != streams:
        raise SystemExit(
            f"[error] {streams - len(ends)} of {streams} streams through {front.name} broke off."
        )
    return streams * tokens / (max(ends) - begun)


async def pace(front: Front, streams: int, tokens: int) -> tuple[int, float]:
    """Of streams with a token a second: how many came whole, and the 99th percentile of gaps, in seconds.

    Gaps while others still begin do not count.
    """
    async with asyncio.timeout(LIMIT_SECONDS), asyncio.TaskGroup() as tasks:
        loop = asyncio.get_running_loop()
        connecting = [
            tasks.create_task(
                loop.create_connection(
                    lambda: _Client(_request(front, tokens=tokens, every=1.0, first=random.random())),  # noqa: S311 - no secret
                    HOST,
                    front.ports[STREAMS],
                )
            )
            for _ in range(streams)
        ]
    clients = [task.result()[1] for task in connecting]
    await _all_ended(clients)
    whole = [client.stream for client in clients if client.stream.is_ok and client.stream.over is not None]
    all_run_at = max(stream.at[1] for stream in whole)
    gaps = sorted(
        after - before
        for stream in whole
        for before, after in pairwise(stream.at[1:])
        if before >= all_run_at
    )
    return len(whole), gaps[int(0.99 * (len(gaps) - 1))]


async def hang_up_seconds(front: Front, workers: Front, times: int, *, after_first: bool) -> float:
    """The median of how long it takes until the worker sees that a client has left."""
    took = []
    for _ in range(times):
        before = await _seen(workers)
        request = _request(front, tokens=10_000, every=0.01, first=0.0 if after_first else 3600.0)
        client = (await _connected(front, 1, request))[0]
        async with asyncio.timeout(LIMIT_SECONDS):
            if after_first:
                await client.begun
            while (await _seen(workers))["running"] == 0:  # noqa: ASYNC110 - another process's facts
                await asyncio.sleep(0.01)
            left = time.monotonic()
            client.transport.close()
            while len(seen := (await _seen(workers))["left_at"]) == len(before["left_at"]):  # noqa: ASYNC110 - likewise
                await asyncio.sleep(0.002)
        took.append(seen[-1] - left)
    return statistics.median(took)


async def large_body_seconds(front: Front, size: int) -> float:
    """From the first byte of a request of `size` bytes to its answer."""
    content = "a" * size
    body = json.dumps({"model": STREAMS, "messages": [{"role": "user", "content": content}]}).encode()
    reader, writer = await asyncio.open_connection(HOST, front.ports[STREAMS])
    begun = time.monotonic()
    writer.write(_head(front, len(body)))
    writer.write(body)
    async with asyncio.timeout(LIMIT_SECONDS):
        answer = await reader.readuntil(b"\r\n\r\n")
    took = time.monotonic() - begun
    writer.close()
    if not answer.startswith(_OK):
        raise SystemExit(f"[error] {front.name} answered a large body: {answer.decode()}")
    return took


async def _connected(front: Front, count: int, request: bytes) -> list[_Client]:
    loop = asyncio.get_running_loop()
    return [
        (await loop.create_connection(lambda: _Client(request), HOST, front.ports[STREAMS]))[1]
        for _ in range(count)
    ]


async def _all_ended(clients: Iterable[_Client]) -> None:
    async with asyncio.timeout(LIMIT_SECONDS):
        await asyncio.gather(*(client.ended for client in clients))


async def _seen(workers: Front) -> dict[str, list[float]]:
    reader, writer = await asyncio.open_connection(HOST, workers.ports[STREAMS])
    writer.write(b"GET /seen HTTP/1.1\r\nhost: worker\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
    said: dict[str, list[float]] = json.loads(await reader.readexactly(length))
    writer.close()
    return said


def _request(front: Front, *, tokens: int, first: float = 0.0, every: float = 0.0) -> bytes:
    asked = {
        "model": STREAMS,
        "messages": [],
        "stream": True,
        "tokens": tokens,
        "first": first,
        "every": every,
    }
    body = json.dumps(asked).encode()
    return _head(front, len(body)) + body


def _head(front: Front, length: int) -> bytes:
    return (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: {HOST}:{front.ports[STREAMS]}\r\n"
        f"content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    ).encode()
