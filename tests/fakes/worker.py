"""A worker on a real socket: speaks our status protocol, and answers `/v1` as a test scripts it."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from mlxhub.clients.headers import Headers
from mlxhub.core.keys import Key, is_proof, make_proof
from mlxhub.core.lifecycle import ModelState
from mlxhub.protocol.worker import BatchStatus, CounterStatus, Identity, MemoryStatus, WorkerStatus
from tests.fakes.launchd import FakeLaunchd

SECRET = "what a fake worker and its hub know"


class Trusting:
    """Of a hub whose workers have SECRET, and ask for no proof."""

    def sign(self, _method: str, _port: int, _target: bytes) -> Headers:
        return []

    def is_worker(self, port: int, nonce: str, proof: str) -> bool:
        return is_proof(proof, [Key(SECRET)], port, nonce, 0)


@dataclass(frozen=True)
class Received:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Answer:
    """What a script writes to: one HTTP response on the worker's side."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    async def raw(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def whole(self, body: bytes, status: int = 200, content_type: str = "application/json") -> None:
        head = f"HTTP/1.1 {status} X\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n\r\n"
        await self.raw(head.encode() + body)

    async def begin_chunks(self, content_type: str = "text/event-stream") -> None:
        await self.raw(
            f"HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n\r\n".encode()
        )

    async def chunk(self, data: bytes) -> None:
        await self.raw(b"%x\r\n%s\r\n" % (len(data), data))

    async def end_chunks(self) -> None:
        await self.raw(b"0\r\n\r\n")

    def close(self) -> None:
        self._writer.close()

    def abort(self) -> None:
        self._writer.transport.abort()


Script = Callable[[Received, Answer], Awaitable[None]]


async def echo(request: Received, answer: Answer) -> None:
    await answer.whole(request.body)


@dataclass
class FakeWorker:
    """`muted`: takes connections and never answers /status. `may_load` clear: loads hang.

    `hung_up`: a client left during an answer."""

    name: str
    port: int
    secret: str = SECRET
    generation: str = "g1"
    script: Script = echo
    pid: int = 0
    memory: ModelState = ModelState.UNLOADED
    load_error: tuple[int, str, str] | None = None
    muted: bool = False
    loads: int = 0
    received: list[Received] = field(default_factory=list)
    connections: int = 0

    def __post_init__(self) -> None:
        self.hung_up = asyncio.Event()
        self.asked = asyncio.Event()
        self.may_load = asyncio.Event()
        self.may_load.set()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, pid: int) -> None:
        self.pid = pid
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=64 * 2**20)

    @property
    def is_open(self) -> bool:
        return self._server is not None

    async def die(self) -> None:
        """As after kill -9: every connection is reset and nothing listens."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in tuple(self._tasks):
            task.cancel()
        self.drop_connections()

    def drop_connections(self) -> None:
        for writer in tuple(self._writers):
            writer.transport.abort()

    def status(self) -> WorkerStatus:
        return WorkerStatus(
            name=self.name,
            pid=self.pid,
            generation=self.generation,
            model_path="builtin:demo",
            model_type="lm",
            model_status=self.memory,
            context_length=2048,
            batch=BatchStatus(rows=0, max_rows=8, peak_rows=0),
            memory=MemoryStatus(footprint_bytes=50_000_000),
            counters=CounterStatus(),
            uptime_seconds=12.5,
            idle_seconds=3.0,
            unload_in_seconds=60.0,
        )

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        self.connections += 1
        try:
            while (request := await _read_request(reader)) is not None:
                await self._until_hang_up(reader, self._answer(request, Answer(writer)))
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            writer.close()

    async def _until_hang_up(self, reader: asyncio.StreamReader, answering: Awaitable[None]) -> None:
        answer = asyncio.ensure_future(answering)
        # Nobody pipelines here: whatever comes while answering is the end of the connection.
        leaving = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait({answer, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done() or isinstance(answer.exception(), ConnectionError):
                self.hung_up.set()
                raise ConnectionResetError
        finally:
            for task in (answer, leaving):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                    await task

    async def _answer(self, request: Received, answer: Answer) -> None:
        match request.method, request.target.partition("?")[0]:
            case "GET", path if path.startswith("/identity/"):
                proof = make_proof(self.secret, self.port, path.removeprefix("/identity/"))
                await answer.whole(Identity(proof=proof).model_dump_json().encode())
            case "GET", "/status":
                if self.muted:
                    await asyncio.sleep(3600)
                await answer.whole(self.status().model_dump_json().encode())
            case "POST", "/load" if self.load_error is not None:
                status, code, message = self.load_error
                error = {"message": message, "type": "server_error", "code": code, "param": None}
                await answer.whole(json.dumps({"error": error}).encode(), status)
            case "POST", "/load":
                self.loads += 1
                await self.may_load.wait()
                self.memory = ModelState.READY
                await answer.whole(self.status().model_dump_json().encode())
            case "POST", "/unload":
                self.memory = ModelState.UNLOADED
                await answer.whole(self.status().model_dump_json().encode())
            case _:
                self.received.append(request)
                self.asked.set()
                await self.script(request, answer)


async def _read_request(reader: asyncio.StreamReader) -> Received | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(method, target, headers, body)


class WorkerProgram:
    """Lets a FakeLaunchd run a FakeWorker. Its calls come from threads, the worker lives on `loop`.

    `dies_at_start`: ends with this exit instead of serving. `may_listen` clear: it starts and is not up yet.
    """

    def __init__(self, worker: FakeWorker, loop: asyncio.AbstractEventLoop) -> None:
        self.worker = worker
        self.dies_at_start: str | None = None
        self.may_listen = asyncio.Event()
        self.may_listen.set()
        self.starts = 0
        self._loop = loop
        self._opening: asyncio.Task[None] | None = None

    def start(self, launchd: FakeLaunchd, label: str, pid: int) -> None:
        self.starts += 1
        if self.dies_at_start is not None:
            launchd.end(label, self.dies_at_start)
            return
        asyncio.run_coroutine_threadsafe(self._begin(pid), self._loop).result(5)

    def signal(self, launchd: FakeLaunchd, label: str, name: str) -> None:
        asyncio.run_coroutine_threadsafe(self.worker.die(), self._loop).result(5)
        launchd.end(label, "exit 0" if name == "SIGTERM" else "signal Killed")

    async def _begin(self, pid: int) -> None:
        if self.may_listen.is_set():
            await self.worker.open(pid)
        else:
            self._opening = asyncio.create_task(self._open_later(pid))

    async def _open_later(self, pid: int) -> None:
        await self.may_listen.wait()
        await self.worker.open(pid)
