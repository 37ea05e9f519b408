"""Starting and ending the launchd stand-in, where the system has no launchd of its own."""

import os
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable

import psutil

from mlxhub.core.paths import Paths
from mlxhub.errors import LaunchctlTimeout
from mlxhub.files.state import make_private_directory

START_SECONDS = 15.0
# Its jobs get their ExitTimeOut, in parallel.
END_SECONDS = 75.0
_POLL_SECONDS = 0.05


def start_supervisor(command: tuple[str, ...], paths: Paths, answers: Callable[[], bool]) -> None:
    """Start it detached from this terminal and return once launchctl finds it.

    Two that start at once do no harm: the second one sees the first one's lock and leaves.
    """
    for directory in (paths.supervisor, paths.agents, paths.logs):
        make_private_directory(directory)
    descriptor = os.open(paths.supervisor_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "wb") as log:
        subprocess.Popen(  # the supervisor outlives us on purpose
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True
        )
    deadline = time.monotonic() + START_SECONDS
    while not answers():
        if time.monotonic() >= deadline:
            raise LaunchctlTimeout(f"Starting the supervisor (see {paths.supervisor_log})", START_SECONDS)
        time.sleep(_POLL_SECONDS)


def end_supervisor(paths: Paths) -> None:
    """Log everybody out: its jobs end first. No supervisor is no error."""
    pid = supervisor_pid(paths)
    if pid is None:
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + END_SECONDS
    while supervisor_pid(paths) == pid or _alive(pid):
        if time.monotonic() >= deadline:
            raise LaunchctlTimeout(f"Ending the supervisor (pid {pid})", END_SECONDS)
        time.sleep(_POLL_SECONDS)


def supervisor_pid(paths: Paths) -> int | None:
    """Asked of the kernel: who listens on its socket. A pid file could lie."""
    try:
        directory = os.open(paths.supervisor, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return None
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            # Through the open directory: a socket's address holds 107 bytes, a path may be longer.
            connection.connect(f"/proc/self/fd/{directory}/sock")
            credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    finally:
        os.close(directory)
    pid, _uid, _gid = struct.unpack("3i", credentials)
    return int(pid)


def _alive(pid: int) -> bool:
    """A zombie has ended; who has to bury it may take its time."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
