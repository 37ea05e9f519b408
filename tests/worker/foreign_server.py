"""A server that somebody else might have written, for tests: python foreign_server.py PORT [WAY]

WAY: `stubborn` ignores SIGTERM, `late` is healthy a second after its start, `dies` ends at the first chat,
`broken` ends before it answers anything, `never` is never healthy, `silent` takes chats and answers none.
"""

import json
import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WAY = sys.argv[2] if len(sys.argv) > 2 else ""
STARTED = time.monotonic()
sys.set_int_max_str_digits(0)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        is_late = WAY == "late" and time.monotonic() - STARTED < 1
        self._say(503 if is_late or WAY == "never" else 200, b"{}")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if WAY == "dies":
            print("dying words", flush=True)
            os._exit(3)
        if WAY == "silent":
            time.sleep(60)
        said = {
            "path": self.path,
            "asked": json.loads(body),
            "authorization": self.headers.get("authorization"),
        }
        if said["asked"].get("stream"):
            self._stream()
        else:
            self._say(200, json.dumps(said).encode())

    def _say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self) -> None:
        """Until the client leaves."""
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        try:
            for number in range(600):
                self.wfile.write(b"data: %d\n\n" % number)
                time.sleep(0.05)
        except OSError:
            print("the client left", flush=True)

    def log_message(self, *_args: object) -> None:
        pass


if __name__ == "__main__":
    if WAY == "broken":
        sys.exit("no such model")
    if WAY == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print(f"listening on {sys.argv[1]}", flush=True)
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
