"""Which user the process at the other end of a local socket belongs to, as the kernel says."""

import socket
import struct

# macOS, sys/un.h: level, option, and `struct xucred` up to the uid (version, uid). Python names none of them.
_SOL_LOCAL = 0
_LOCAL_PEERCRED = 1
_XUCRED = struct.Struct("=II")
_XUCRED_BYTES = 76
_UCRED = struct.Struct("3i")


def peer_uid(connection: socket.socket) -> int:
    """Of a connected AF_UNIX socket, or what has its `getsockopt`. Raises OSError."""
    if hasattr(socket, "SO_PEERCRED"):
        _, uid, _ = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
        return int(uid)
    credentials = connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED_BYTES)
    return int(_XUCRED.unpack(credentials[: _XUCRED.size])[1])
