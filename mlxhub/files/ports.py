"""Who listens on a TCP port of this machine."""

import errno
import socket

import psutil

from mlxhub.core.observed import PortHolder

_CONNECT_SECONDS = 1.0


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could bind here now and would be the one who is reached.

    SO_REUSEADDR: a port in TIME_WAIT is free. With it BSD also lets 127.0.0.1 be bound beside a server on
    all addresses, which a connection then tells.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return False
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(_CONNECT_SECONDS)
        return probe.connect_ex((host, port)) != 0


def port_holder(port: int, host: str = "127.0.0.1") -> PortHolder | None:
    """None: nobody listens. The system may keep another user's process to itself: then without a pid."""
    if is_free(port, host):
        return None
    pid = _listener_pid(port)
    if pid is None:
        return PortHolder(pid=None, command=None)
    try:
        return PortHolder(pid=pid, command=" ".join(psutil.Process(pid).cmdline())[:120])
    except psutil.Error:
        return PortHolder(pid=pid, command=None)


def _listener_pid(port: int) -> int | None:
    """On macOS the whole table needs root; asking each of our own processes does not."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:
        return _listener_among_own_processes(port)
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,):
            return connection.pid
    return None


def _listener_among_own_processes(port: int) -> int | None:
    for process in psutil.process_iter():
        try:
            connections = process.net_connections("tcp")
        except psutil.Error:
            continue
        if any(c.status == psutil.CONN_LISTEN and c.laddr[1:] == (port,) for c in connections):
            return process.pid
    return None
