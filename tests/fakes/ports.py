"""Ports for servers that a test starts."""

import random
import socket

# Below what systems hand out by themselves: nobody takes one of these between the asking and the use.
_RANGE = range(20_000, 32_000)


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
