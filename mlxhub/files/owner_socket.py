"""The controller's own socket: in a directory that only its user may enter."""

import os
import socket
import stat
from pathlib import Path

from mlxhub.errors import StateUnwritable
from mlxhub.files.state import make_private_directory

BACKLOG = 128
_CONNECT_SECONDS = 1.0


def bind_owner_socket(path: Path) -> socket.socket | None:
    """None where another controller of this hub listens there. Raises StateUnwritable."""
    make_private_directory(path.parent)
    check_private(path.parent)
    if _is_answered(path):
        return None
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        sock.bind(str(path))
        path.chmod(0o600)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise StateUnwritable(str(path), error.strerror or str(error)) from error
    return sock


def check_private(directory: Path) -> None:
    """That nobody else could have put anything there; a directory that is not there yet is.

    Raises StateUnwritable.
    """
    try:
        found = directory.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise StateUnwritable(str(directory), error.strerror or str(error)) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise StateUnwritable(str(directory), "it must be a directory of yours that nobody else may enter")


def _is_answered(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_CONNECT_SECONDS)
        return probe.connect_ex(str(path)) == 0
