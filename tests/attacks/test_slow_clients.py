"""A32 against a live hub, whose deadlines are the real ones: 10 s for a head."""

import contextlib
import socket
import threading
import time

from tests.attacks.conftest import Target
from tests.attacks.place import ask
from tests.attacks.raw import split_answers

# The deadline, the sweep that sees it, and a second for a machine with other things to do.
CLOSED_SECONDS = 10.0 + 0.6 + 2.0
MANY = 200


def held(port: int, sent: bytes) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), timeout=CLOSED_SECONDS)
    sock.sendall(sent)
    return sock


def drip(sock: socket.socket, over: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while not over.wait(0.25):
            sock.sendall(b"x")


def status_at_the_end(sock: socket.socket, deadline: float) -> int:
    """Of the last answer before the server closed."""
    received = b""
    sock.settimeout(max(0.1, deadline - time.monotonic()))
    with contextlib.suppress(ConnectionResetError):
        while chunk := sock.recv(65_536):
            received += chunk
    return list(split_answers(received))[-1].status


def test_a32_heads_that_do_not_come_hold_up_nobody_and_end_in_time(target: Target) -> None:
    place, over = target.place, threading.Event()
    head = ask(place, "GET", "/health")
    kept_alive = head.replace(b"Connection: close\r\n", b"")
    deadline = time.monotonic() + CLOSED_SECONDS
    with contextlib.ExitStack() as stack:
        stack.callback(over.set)
        heads = [b""] * MANY + [b"GET /hea", head[:-2], kept_alive + b"GET /hea", head[:-2] + b"X: "]
        sockets = [stack.enter_context(held(place.port, begun)) for begun in heads]
        threading.Thread(target=drip, args=(sockets[-1], over), daemon=True).start()
        target.require_unharmed()
        for sock in sockets:
            assert status_at_the_end(sock, deadline) == 408
    target.require_unharmed()
