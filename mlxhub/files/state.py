"""Small files that must never be half written."""

import os
import tempfile
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from mlxhub.errors import StateUnreadable, StateUnwritable

# Not .plist: launchd scans the directory at login.
_TEMPORARY_SUFFIX = ".tmp"

T = TypeVar("T")


def write_atomically(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """All of it or nothing, also when the machine loses power. The mode does not depend on the umask.

    Raises StateUnwritable.
    """
    make_private_directory(path.parent)
    try:
        _replace(path, content, mode)
    except OSError as error:
        raise StateUnwritable(str(path), error.strerror or str(error)) from error


def make_private_directory(path: Path) -> None:
    """Directories that we create are the user's alone; those that exist stay as they are.

    Raises StateUnwritable.
    """
    try:
        if not path.is_dir():
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StateUnwritable(str(path), error.strerror or str(error)) from error


def require_writable(directory: Path) -> None:
    """Raises StateUnwritable: better before the first step than half-way."""
    if not os.access(directory, os.W_OK | os.X_OK):
        raise StateUnwritable(str(directory), "Permission denied")


def touch_private(path: Path) -> None:
    """An empty file for the user alone, where there is none. Raises StateUnwritable."""
    make_private_directory(path.parent)
    try:
        path.touch(mode=0o600, exist_ok=True)
    except OSError as error:
        raise StateUnwritable(str(path), error.strerror or str(error)) from error


def remove_file(path: Path) -> None:
    """One that is not there is no error. Raises StateUnwritable."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StateUnwritable(str(path), error.strerror or str(error)) from error


def remove_leftovers(path: Path) -> None:
    """What writes to this path left when they were cut short. Call while nobody else writes there."""
    for leftover in path.parent.glob(f"{_temporary_prefix(path)}*{_TEMPORARY_SUFFIX}"):
        remove_file(leftover)


def read_state(path: Path, adapter: TypeAdapter[T], default: T) -> T:
    """The default where there is no file. Raises StateUnreadable where there is one that makes no sense."""
    try:
        if path.exists() and not path.is_file():
            raise StateUnreadable(str(path), "it is not a file")  # reading a FIFO would never end
        return adapter.validate_json(path.read_bytes())
    except FileNotFoundError:
        return default
    except (ValidationError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not what mlxhub writes"
        raise StateUnreadable(str(path), str(reason)) from error


def read_whole(path: Path) -> bytes:
    """Of somebody else's file. Raises StateUnreadable, also where there is none."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise StateUnreadable(str(path), error.strerror or str(error)) from error


def write_state(path: Path, adapter: TypeAdapter[T], value: T) -> None:
    write_atomically(path, adapter.dump_json(value, indent=2) + b"\n")


def _replace(path: Path, content: bytes, mode: int) -> None:
    descriptor, temporary = tempfile.mkstemp(
        prefix=_temporary_prefix(path), suffix=_TEMPORARY_SUFFIX, dir=path.parent
    )
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def _temporary_prefix(path: Path) -> str:
    return f".{path.name}."


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
