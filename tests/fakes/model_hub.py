"""A hub of models as huggingface_hub knows one, which can misbehave."""

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class ModelHub:
    """`files`: of the one repo, org/tiny. What it does wrong is said by the other fields."""

    files: dict[str, bytes]
    port: int = 0
    status: int = 200
    listing_status: int = 200
    # After so many bytes of a file: the connection ends, or nothing comes any more.
    cut_after: int | None = None
    stall_after: int | None = None
    corrupt: str | None = None
    endless: bool = False
    # Another server's, which has the files.
    redirect_to: str | None = None
    listed_sizes: dict[str, int] = field(default_factory=dict)
    more_names: tuple[str, ...] = ()
    may_go_on: threading.Event = field(default_factory=threading.Event)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    authorizations: set[str | None] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def listing(self) -> dict[str, Any]:
        siblings = [self._listed(name) for name in (*self.files, *self.more_names)]
        return {"id": "org/tiny", "modelId": "org/tiny", "sha": COMMIT, "siblings": siblings}

    def _listed(self, name: str) -> dict[str, Any]:
        data = self.files.get(name, b"evil")
        size = self.listed_sizes.get(name, len(data))
        git = hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()
        listed: dict[str, Any] = {"rfilename": name, "size": size, "blobId": git}
        if name.endswith(".safetensors"):
            listed["lfs"] = {"size": size, "sha256": hashlib.sha256(data).hexdigest(), "pointerSize": 134}
        return listed


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, hub: ModelHub) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hub = hub


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        hub = self.server.hub
        hub.asked.append((self.path, self.headers.get("Range")))
        hub.authorizations.add(self.headers.get("Authorization"))
        if self.path.startswith("/api/models/org/tiny/revision/main"):
            self._answer(hub.listing_status, json.dumps(hub.listing()).encode())
        elif not self.path.startswith(f"/org/tiny/resolve/{COMMIT}/"):
            self._answer(404, b"{}")
        elif hub.status != 200:
            self._answer(hub.status, b"{}")
        elif hub.redirect_to is not None:
            self.send_response(302)
            self.send_header("Location", hub.redirect_to + self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._file(self.path.rpartition("/")[2])

    def _file(self, name: str) -> None:
        hub = self.server.hub
        data = hub.files.get(name, b"evil")
        if name == hub.corrupt:
            data = bytes(len(data))
        if hub.endless:
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            with contextlib.suppress(OSError):
                while True:
                    self.wfile.write(bytes(65_536))
            return
        begin = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(data) - begin))
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        limits = [place for place in (hub.cut_after, hub.stall_after) if place is not None]
        end = max(begin, min([len(data), *limits]))
        self.wfile.write(data[begin:end])
        self.wfile.flush()
        if end < len(data):
            if hub.stall_after is not None:
                hub.may_go_on.wait(60)
            self.close_connection = True

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        codes = {401: "RepoNotFound", 403: "GatedRepo", 404: "RepoNotFound"}
        if status in codes:
            self.send_header("X-Error-Code", codes[status])
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def running_model_hub(source: Path) -> Iterator[ModelHub]:
    """With the files of this directory."""
    hub = ModelHub({path.name: path.read_bytes() for path in sorted(source.iterdir()) if path.is_file()})
    server = _Server(hub)
    hub.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        hub.may_go_on.set()
        server.shutdown()
        server.server_close()
