"""A32: who sends or takes too slowly is let go; who has to wait for an answer is not."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from starlette.types import Receive, Scope, Send

from mlxhub.web.protocol import Limits
from tests.attacks.in_process import play, say_yes
from tests.attacks.place import JSON, Place, Program, ask
from tests.attacks.raw import Answer, Exchange, exchange

QUICK = Limits(head_seconds=0.6, body_seconds=0.6, taking_seconds=0.6, lingering_seconds=0.6)
# The sweep comes twice a second, and this machine has other things to do.
CLOSED_SECONDS = 5.0
DRIP_SECONDS = 0.05
CHUNKED = "Transfer-Encoding: chunked"

Story = Callable[[Place], None]


def dripping(first: bytes, again: bytes) -> Iterator[bytes]:
    """Always alive, never done."""
    yield first
    while True:
        time.sleep(DRIP_SECONDS)
        yield again


def told(tmp_path: Path, send: Callable[[Place], bytes | Iterable[bytes]]) -> Exchange:
    """What came of it, on a connection that the server closed in time."""
    done: list[Exchange] = []

    def story(place: Place) -> None:
        done.append(exchange(place.port, send(place), CLOSED_SECONDS))

    play(Program.WORKER, tmp_path, story, limits=QUICK)
    assert done[0].closed
    return done[0]


def require_timeout(answer: Answer) -> None:
    assert (answer.status, answer.error["code"]) == (408, "request_timeout")


def upload(place: Place, *headers: str, key: bool = True) -> bytes:
    """The head of a request with a body to come."""
    auth = (place.auth,) if key else ()
    return ask(place, "POST", place.change, *auth, JSON, *headers)


HEADS: dict[str, Callable[[Place], bytes | Iterable[bytes]]] = {
    "silence": lambda _place: b"",
    "half a line": lambda _place: b"GET /hea",
    "half a head": lambda place: ask(place, "GET", "/health")[:-2],
    "a head that never ends": lambda place: dripping(ask(place, "GET", "/health")[:-2] + b"X: ", b"x"),
    "empty lines": lambda _place: dripping(b"\r\n", b"\r\n"),
}
BODIES: dict[str, Callable[[Place], bytes | Iterable[bytes]]] = {
    "half a body": lambda place: upload(place, "Content-Length: 100") + b"{",
    "no body": lambda place: upload(place, "Content-Length: 100"),
    "a dripping body": lambda place: dripping(upload(place, "Content-Length: 60000"), b" "),
    "a chunk that does not come": lambda place: upload(place, CHUNKED) + b"5\r\n",
    "chunks that do not end": lambda place: dripping(upload(place, CHUNKED), b"1\r\n \r\n"),
    "a body that waits to be asked for": lambda place: upload(place, "Content-Length: 5", "Expect: x"),
}


@pytest.mark.parametrize("name", HEADS)
def test_a32_a_head_has_to_come_in_time(tmp_path: Path, name: str) -> None:
    require_timeout(told(tmp_path, HEADS[name]).answer)


@pytest.mark.parametrize("name", BODIES)
def test_a32_a_body_has_to_come_in_time(tmp_path: Path, name: str) -> None:
    require_timeout(told(tmp_path, BODIES[name]).answer)


def test_a32_the_next_head_has_to_come_in_time_too(tmp_path: Path) -> None:
    def send(place: Place) -> bytes:
        return ask(place, "GET", "/health").replace(b"Connection: close\r\n", b"") + b"GET /hea"

    first, second = told(tmp_path, send).answers
    assert first.status == 200
    require_timeout(second)


def test_a32_also_one_that_begins_when_all_was_answered(tmp_path: Path) -> None:
    received: list[bytes] = []

    def story(place: Place) -> None:
        with socket.create_connection(("127.0.0.1", place.port), timeout=CLOSED_SECONDS) as sock:
            sock.sendall(ask(place, "GET", "/health").replace(b"Connection: close\r\n", b""))
            received.append(sock.recv(65_536))
            sock.sendall(b"GET /hea")
            with contextlib.suppress(TimeoutError):
                received.append(sock.recv(65_536))

    play(Program.WORKER, tmp_path, story, limits=QUICK)
    assert [each[:13] for each in received] == [b"HTTP/1.1 200 ", b"HTTP/1.1 408 "]


def taken_after_the_answer(place: Place) -> float:
    """For how many seconds the server goes on taking a body after it has refused and said all."""
    with socket.create_connection(("127.0.0.1", place.port)) as sock:
        sock.sendall(upload(place, "Content-Length: 60000", key=False))
        received = b""
        while chunk := sock.recv(65_536):
            received += chunk
        assert received.startswith(b"HTTP/1.1 401 ")
        begun = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() < begun + CLOSED_SECONDS:
                sock.sendall(b" ")
                time.sleep(DRIP_SECONDS)
        return time.monotonic() - begun


def test_a32_who_was_refused_is_not_cut_off_in_the_middle_of_a_word_but_let_go(tmp_path: Path) -> None:
    """A reset at once would take the answer from a client that still sends."""
    taken: list[float] = []
    play(Program.WORKER, tmp_path, lambda place: taken.append(taken_after_the_answer(place)), limits=QUICK)
    assert QUICK.lingering_seconds / 2 < taken[0] < CLOSED_SECONDS


def test_a32_who_was_refused_may_not_send_without_end(tmp_path: Path) -> None:
    """However fast it is."""
    cut: list[bool] = []

    def story(place: Place) -> None:
        with socket.create_connection(("127.0.0.1", place.port), timeout=CLOSED_SECONDS) as sock:
            sock.sendall(upload(place, "Content-Length: 900000000", key=False))
            try:
                for _ in range(50):
                    sock.sendall(b" " * 1_000_000)
                cut.append(False)
            except OSError:
                cut.append(True)

    play(Program.WORKER, tmp_path, story, limits=Limits(lingering_seconds=60, lingering_bytes=1_000_000))
    assert cut == [True]


class Speaker:
    """An app that speaks until nobody listens, or only after a while."""

    def __init__(self, waits: float = 0) -> None:
        self.ended = threading.Event()
        self._waits = waits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await say_yes(scope, receive, send)
            return
        await receive()
        await asyncio.sleep(self._waits)
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while not self._waits and not self.ended.is_set():
                gone = asyncio.ensure_future(receive())
                speaking = asyncio.ensure_future(
                    send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
                )
                await asyncio.wait({gone, speaking}, return_when=asyncio.FIRST_COMPLETED)
                if gone.done():
                    break
                gone.cancel()
            await send({"type": "http.response.body", "body": b""})
        finally:
            self.ended.set()


def test_a32_who_takes_nothing_of_what_it_asked_for_is_let_go(tmp_path: Path) -> None:
    speaker = Speaker()

    def story(place: Place) -> None:
        with socket.create_connection(("127.0.0.1", place.port)) as reader:
            reader.sendall(ask(place, "GET", "/health"))
            assert speaker.ended.wait(CLOSED_SECONDS)

    play(Program.WORKER, tmp_path, story, limits=QUICK, app=speaker)


def test_a32_who_takes_all_the_time_is_not_let_go(tmp_path: Path) -> None:
    """10 MB a second, of an answer that is always further along than its reader."""
    speaker = Speaker()
    read: list[int] = []
    seconds = 12 * QUICK.taking_seconds

    def story(place: Place) -> None:
        with socket.create_connection(("127.0.0.1", place.port)) as reader:
            reader.sendall(ask(place, "GET", "/health"))
            until = time.monotonic() + seconds
            while time.monotonic() < until and (not read or read[-1]):
                read.append(len(reader.recv(100_000)))
                time.sleep(0.01)

    play(Program.WORKER, tmp_path, story, limits=QUICK, app=speaker)
    assert read[-1] > 0, f"cut off after {sum(read)} bytes"


def test_a32_who_waits_for_its_answer_is_not_let_go(tmp_path: Path) -> None:
    """Models take longer than heads and bodies may."""
    done: list[Exchange] = []

    def story(place: Place) -> None:
        done.append(exchange(place.port, ask(place, "GET", "/health"), CLOSED_SECONDS))

    play(Program.WORKER, tmp_path, story, limits=QUICK, app=Speaker(waits=2.5 * QUICK.head_seconds))
    assert done[0].answer.status == 200
