"""A client that sends exactly the bytes it is given and reads until the server closes."""

import json
import selectors
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

SECONDS = 10.0
_CHUNK = 65_536


@dataclass(frozen=True, slots=True)
class Answer:
    """`status` 0: the server closed, or reset, without a word. `headers` with lower-case names."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for each, value in self.headers if each == name), None)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> Any:
        """What the one shape of errors holds."""
        said = self.json
        assert said.keys() == {"error"}, said
        assert said["error"].keys() == {"message", "type", "code", "param"}, said
        return said["error"]


@dataclass(frozen=True, slots=True)
class Exchange:
    """`sent`: bytes that the kernel took. `closed`: the server ended the connection within the time."""

    received: bytes
    sent: int
    closed: bool
    seconds: float

    @property
    def answers(self) -> tuple[Answer, ...]:
        return tuple(split_answers(self.received))

    @property
    def answer(self) -> Answer:
        """The only one."""
        answers = self.answers
        assert len(answers) <= 1, f"{len(answers)} answers to one request: {self.received[:2000]!r}"
        return answers[0] if answers else Answer(0, (), b"")


def exchange(port: int, data: bytes | Iterable[bytes], seconds: float = SECONDS) -> Exchange:
    """Writes and reads at once, so that an answer to half a request is seen. Parts go out one by one."""
    parts = iter([data] if isinstance(data, bytes) else data)
    begun = time.monotonic()
    pending = memoryview(next(parts, b""))
    received: list[bytes] = []
    sent, closed = 0, False
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as sock:
        sock.setblocking(False)
        with selectors.DefaultSelector() as selector:
            selector.register(sock, selectors.EVENT_READ | selectors.EVENT_WRITE)
            while not closed and (left := begun + seconds - time.monotonic()) > 0:
                events = selector.select(left)
                if any(mask & selectors.EVENT_READ for _, mask in events):
                    chunk = _read(sock)
                    received.append(chunk)
                    closed = not chunk
                if not closed and any(mask & selectors.EVENT_WRITE for _, mask in events):
                    written = _write(sock, pending)
                    sent += max(0, written)
                    pending = pending[max(0, written) :]
                    if not pending:
                        pending = memoryview(next(parts, b""))
                    if written < 0 or not pending:
                        selector.modify(sock, selectors.EVENT_READ)
    return Exchange(b"".join(received), sent, closed, time.monotonic() - begun)


def split_answers(received: bytes) -> Iterable[Answer]:
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").split("\r\n")
        assert status_line.startswith("HTTP/1.1 "), received[:200]
        headers = tuple((name.lower(), value.strip()) for name, _, value in (x.partition(":") for x in lines))
        answer = Answer(int(status_line.split(" ")[1]), headers, rest)
        length = answer.header("content-length")
        if answer.header("transfer-encoding") == "chunked":
            body, received = _unchunked(rest)
        elif length is not None:
            body, received = rest[: int(length)], rest[int(length) :]
        else:
            body, received = rest, b""
        yield Answer(answer.status, headers, body)


def _unchunked(rest: bytes) -> tuple[bytes, bytes]:
    """The body, and what comes behind it."""
    body = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        body += rest[:length]
        rest = rest[length + 2 :]
        if length == 0:
            break
    return body, rest


def _read(sock: socket.socket) -> bytes:
    """Nothing: it is over."""
    try:
        return sock.recv(_CHUNK)
    except BlockingIOError:
        raise AssertionError("the selector said that there is something to read") from None
    except OSError:
        return b""


def _write(sock: socket.socket, data: memoryview) -> int:
    """How much went; -1: the server takes no more."""
    try:
        return sock.send(data) if data else 0
    except BlockingIOError:
        return 0
    except OSError:
        return -1
