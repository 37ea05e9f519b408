"""The listening sockets that launchd opens on behalf of a job."""

import socket

from mlxhub.standin.plist import Address

_BACKLOG = 128


def listen(address: Address) -> socket.socket:
    """Bound and listening. Raises OSError."""
    listener = socket.socket(socket.AF_INET6 if ":" in address.host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address.host, address.port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
