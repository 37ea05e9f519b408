"""A web site that means harm: one page with all attacks, whatever is asked for, at whatever name it has."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_SCRIPT = Path(__file__).with_name("attack.js").read_text()
PAGE = f'<!doctype html><title>harm</title><link rel="icon" href="data:,"><body><script>{_SCRIPT}</script>'


@dataclass(frozen=True, slots=True)
class Attacker:
    port: int

    def page(self, host: str, *, sandboxed: bool = False) -> str:
        """`sandboxed`: its requests say `Origin: null`."""
        return f"http://{host}:{self.port}/{'sandboxed' if sandboxed else ''}"


@contextlib.contextmanager
def serve_attacks() -> Iterator[Attacker]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        try:
            yield Attacker(server.server_port)
        finally:
            server.shutdown()
            serving.join(10)


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        content = PAGE.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        if self.path == "/sandboxed":
            self.send_header("Content-Security-Policy", "sandbox allow-scripts allow-forms allow-popups")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Not in the output of tests."""
