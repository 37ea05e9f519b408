"""Locks of files, which the kernel keeps: whoever dies, however, has let go.

They are flock's. fcntl's end as soon as their process closes any other descriptor of the file, as one does
that only looks, and macOS has no public ones that belong to a descriptor. A program that the process runs
does not inherit them, since Python's descriptors close at exec; a child that is only forked must close them.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from mlxhub.errors import LockTimeout, StateUnwritable
from mlxhub.files.state import make_private_directory

LOCK_SECONDS = 60.0
_POLL_SECONDS = 0.1


@contextlib.contextmanager
def hold_lock(
    path: Path,
    *,
    seconds: float = LOCK_SECONDS,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[None]:
    """One holder at a time. Raises LockTimeout and StateUnwritable."""
    deadline = clock() + seconds
    while (descriptor := try_lock(path)) is None:
        if clock() >= deadline:
            raise LockTimeout(str(path), seconds)
        pause(_POLL_SECONDS)
    try:
        yield
    finally:
        os.close(descriptor)


def try_lock(path: Path) -> int | None:
    """The descriptor that holds it until it is closed; None: another one does. Raises StateUnwritable.

    Such a file is never removed: two could hold two.
    """
    make_private_directory(path.parent)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StateUnwritable(str(path), error.strerror or str(error)) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def is_locked(path: Path) -> bool:
    """Whether somebody holds it. While this looks, who tries to take it may be told that somebody does."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # Shared, so that two who look at once do not see each other.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
