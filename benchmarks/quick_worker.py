"""In a worker's place: it proves who it is and says how it is as a worker does, and costs next to nothing.

A hub's launcher starts it with a plist's own arguments (front_servers.py). The model named `quick` answers
by nginx, whole answers at once; any other by Python, streams at the pace that a request asks for:
`{"stream": true, "tokens": 3, "first": 0.5, "every": 0.1}`, both in seconds.
"""

import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import cast

import httptools
import uvloop
from installed_hub import HOST

from mlxhub.core.config import WorkerSettings
from mlxhub.core.engine_options import Reading
from mlxhub.core.keys import make_proof
from mlxhub.core.lifecycle import ModelState
from mlxhub.files.keys import current_key
from mlxhub.protocol.worker import BatchStatus, CounterStatus, Identity, MemoryStatus, WorkerStatus

QUICK = "quick"
_MESSAGE = {"role": "assistant", "content": "pong"}
_ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": QUICK,
    "choices": [{"index": 0, "message": _MESSAGE, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}
_EVENT = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "streams",
        "choices": [{"index": 0, "delta": {"content": "word "}, "finish_reason": None}],
    }
)
_TOKEN = b"%x\r\ndata: %s\n\n\r\n" % (len(_EVENT) + 8, _EVENT.encode())
_STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_END = b"0\r\n\r\n"

_NGINX = """
daemon off; worker_processes 1; error_log stderr; pid {directory}/pid; {user}
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000; client_max_body_size 0; default_type application/json;
  client_body_temp_path {directory}; proxy_temp_path {directory};
  server {{
    listen {host}:{port} backlog=2048;
    location = /v1/chat/completions {{ return 200 '{answer}'; }}
    location / {{ proxy_pass http://unix:{directory}/socket; }}
  }}
}}
"""


class Seen:
    """Streams that run, and when (monotonic) a client left one."""

    def __init__(self) -> None:
        self.running = 0
        self.left_at: list[float] = []


class Exchange(asyncio.Protocol):
    """One connection."""

    def __init__(self, settings: WorkerSettings, generation: str, seen: Seen) -> None:
        self._settings = settings
        self._generation = generation
        self._seen = seen
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport
        self._url = b""
        self._body: list[bytes] = []
        self._left = 0
        self._due = self._every = 0.0
        self._may_write = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, error: Exception | None) -> None:
        if self._left:
            self._left = 0
            self._seen.running -= 1
            self._seen.left_at.append(time.monotonic())

    def pause_writing(self) -> None:
        self._may_write = False

    def resume_writing(self) -> None:
        self._may_write = True
        self._say_one()

    def on_url(self, url: bytes) -> None:
        self._url = url
        self._body = []

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        match self._url.decode().split("/")[1:]:
            case ["identity", nonce]:
                secret = current_key(Path(str(self._settings.keys)), "worker")
                proof = make_proof(secret, self._settings.port, nonce)
                self._whole(Identity(proof=proof).model_dump_json())
            case ["seen"]:
                self._whole(json.dumps({"running": self._seen.running, "left_at": self._seen.left_at}))
            case ["v1", *_]:
                self._answer(b"".join(self._body))
            case _:
                self._whole(self._status().model_dump_json())

    def _whole(self, content: str) -> None:
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
        self._transport.write((head + content).encode())

    def _answer(self, body: bytes) -> None:
        asked = {} if len(body) > 10_000 else json.loads(body)
        if not asked.get("stream"):
            self._whole(json.dumps(_ANSWER))
            return
        self._left = asked["tokens"]
        self._every = asked["every"]
        self._seen.running += 1
        if asked["first"] == 0:
            self._begin()
        else:
            self._loop.call_later(asked["first"], self._begin)

    def _begin(self) -> None:
        self._due = self._loop.time()
        if self._left:
            self._transport.write(_STREAM)
            self._say_one()

    def _say_one(self) -> None:
        if not self._left or not self._may_write:
            return
        self._left -= 1
        if self._left == 0:
            self._seen.running -= 1
            self._transport.write(_TOKEN + _END)
            return
        self._transport.write(_TOKEN)
        self._due += self._every
        if self._every:
            self._loop.call_at(self._due, self._say_one)
        else:
            self._loop.call_soon(self._say_one)

    def _status(self) -> WorkerStatus:
        return WorkerStatus(
            name=self._settings.name,
            pid=os.getpid(),
            generation=self._generation,
            model_path=self._settings.model_path,
            model_type=self._settings.model_type,
            model_status=ModelState.READY,
            batch=BatchStatus(rows=0, max_rows=8, peak_rows=0),
            memory=MemoryStatus(footprint_bytes=50_000_000),
            counters=CounterStatus(),
            uptime_seconds=1.0,
        )


async def _serve(settings: WorkerSettings, generation: str) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    seen = Seen()

    def exchange() -> Exchange:
        return Exchange(settings, generation, seen)

    if settings.name != QUICK:
        server = await loop.create_server(exchange, HOST, settings.port, backlog=2048)
        await stop.wait()
        server.close()
        return
    # The path of a socket has to be short.
    with tempfile.TemporaryDirectory(prefix="mlxhub-bench-", dir="/tmp") as directory:
        await loop.create_unix_server(exchange, f"{directory}/socket")
        command = _nginx_command(Path(directory), settings.port)
        nginx = await asyncio.create_subprocess_exec(*command)
        try:
            await stop.wait()
        finally:
            nginx.terminate()
            await nginx.wait()


def _nginx_command(directory: Path, port: int) -> list[str]:
    """Of one that answers at `port`."""
    program = shutil.which("nginx")
    assert program is not None, "the benchmark has looked for it"
    conf = directory / "nginx.conf"
    user = "user root;" if os.getuid() == 0 else ""
    said = json.dumps(_ANSWER)
    conf.write_text(_NGINX.format(directory=directory, host=HOST, port=port, user=user, answer=said))
    return [program, "-c", str(conf), "-p", str(directory)]


if __name__ == "__main__":
    arguments = dict(zip(sys.argv, sys.argv[1:], strict=False))
    chosen = WorkerSettings.model_validate_json(arguments["--settings"], context=Reading(True))
    uvloop.run(_serve(chosen, arguments["--generation"]))
