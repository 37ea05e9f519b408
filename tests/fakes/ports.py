"""Ports for servers that a test starts."""

import os
import random
import socket

# Below what systems hand out by themselves, and for each process of a run a part of its own: nobody takes one
# of these between the asking and the use.
_PROCESS = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_PART = 12_000 // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_RANGE = range(20_000 + _PROCESS * _PART, 20_000 + (_PROCESS + 1) * _PART)


def free_ports(count: int) -> list[int]:
    """Different ones, free at the moment."""
    found: list[int] = []
    while len(found) < count:
        port = random.SystemRandom().choice(_RANGE)
        if port not in found and _is_free(port):
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
