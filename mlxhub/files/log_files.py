"""Log files on disk: private, rotated by whoever writes them, and bounded together.

`<name>.log` is being written. Rotated, it is `<name>.log.<UTC time>`: no model's log, and sorted by age.
`stdio/<name>.log` and the supervisor's log belong to launchd: nobody can rename them under it, so they are
copied and cut, which is safe because they are written with O_APPEND.
"""

import contextlib
import fcntl
import os
import re
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from mlxhub.core.log_space import RotatedLog, kept_last_words, last_words_limit, log_limit, logs_to_drop
from mlxhub.core.paths import SUPERVISOR_LOG, last_words_beside

_ROTATED = re.compile(r"(?P<log>.+\.log)\.\d{8}T\d{6}\.\d{6,}")
FILE_MODE = 0o600
# How much a log grows before it is asked anew how much it may grow.
_ASK_EVERY_BYTES = 100_000


class LogFile:
    """Append entries to a log that rotates itself. Not for several threads at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = _open_to_append(path)
        self._ask_at = 0

    def write(self, entry: bytes) -> None:
        """Whole, or not at all: what a full disk took of it is taken back. Raises OSError.

        A log that was taken away is begun anew.
        """
        if not self._is_in_place():
            self._reopen()
        size = os.fstat(self._descriptor).st_size
        if size and size + len(entry) > self._ask_at:
            self._rotate_if_due(size + len(entry))
        self._append(entry)

    def close(self) -> None:
        os.close(self._descriptor)

    def _append(self, entry: bytes) -> None:
        """The next entry must not be glued to half of this one. Nobody else writes this file."""
        before = os.fstat(self._descriptor).st_size
        try:
            while entry:
                entry = entry[os.write(self._descriptor, entry) :]
        except OSError:
            with contextlib.suppress(OSError):  # a pipe or a terminal keeps what it got
                os.ftruncate(self._descriptor, before)
            raise

    def _rotate_if_due(self, size: int) -> None:
        limit = log_limit(len(_current_logs(self._path.parent)))
        self._ask_at = min(limit, size + _ASK_EVERY_BYTES)
        if size <= limit:
            return
        # Where the directory cannot be changed the log goes on in the file it has: better large than lost.
        with contextlib.suppress(OSError):
            self._path.rename(_rotated_name(self._path))
            self._reopen()
            keep_log_space(self._path.parent)

    def _is_in_place(self) -> bool:
        try:
            return os.path.samestat(self._path.stat(), os.fstat(self._descriptor))
        except FileNotFoundError:
            return False

    def _reopen(self) -> None:
        """Where even the directory is gone, as after an uninstall, the old file has to do."""
        with contextlib.suppress(OSError):
            descriptor = _open_to_append(self._path)
            os.close(self._descriptor)
            self._descriptor, self._ask_at = descriptor, 0


def rotated_logs(log: Path) -> list[Path]:
    """Oldest first."""
    return sorted(path for path in _files(log.parent) if _log_of(path) == log.name)


def earlier_files(log: Path) -> list[Path]:
    """What was written before this file was begun, oldest first: cut off it, or rotated."""
    cut_off = _cut_off(log)
    return [*([cut_off] if cut_off.is_file() else []), *rotated_logs(log)]


def has_content(log: Path) -> bool:
    """Whether there is anything to read, here or in what was written before."""
    return any(_size(path) for path in (log, *earlier_files(log)))


def log_files(directory: Path) -> list[Path]:
    """Every log file of a hub, launchd's included."""
    files = [*_files(directory), *_files(last_words_beside(directory / "x").parent)]
    return [path for path in files if _is_log(path)]


def all_log_bytes(directory: Path) -> int:
    return sum(map(_size, log_files(directory)))


def keep_log_space(directory: Path) -> None:
    """Cut what launchd writes and drop the oldest rotated logs, as far as the limits ask for.

    Any program of the hub may do this at any time, two at once included. A directory that is not there needs
    nothing.
    """
    logs, last_words = _current_logs(directory), _last_words(directory)
    programs = max(len(logs), len(last_words))
    for path in last_words:
        with contextlib.suppress(OSError):  # it left meanwhile, or is another user's
            if path.stat().st_mode & 0o077:  # launchd made it, with a umask that is not ours to know
                path.chmod(FILE_MODE)
            cut_to_last_words(path, last_words_limit(programs), kept_last_words(programs))
    rotated = [
        RotatedLog(str(path), status.st_size, status.st_mtime)
        for path, status in _with_status(path for path in _files(directory) if _log_of(path))
    ]
    sizes = {"logs": [_size(path) for path in logs], "last_words": [_size(path) for path in last_words]}
    for log in logs_to_drop(rotated, **sizes):
        with contextlib.suppress(OSError):
            Path(log.path).unlink(missing_ok=True)


def cut_to_last_words(path: Path, limit: int, keep: int) -> bool:
    """Whether there was anything to cut: a file over `limit` bytes is emptied, its end kept in `<path>.1`.

    Lines that its process writes just then may be lost; what it writes after that begins the file.
    """
    if _size(path) <= limit:
        return False
    with path.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # another program of the hub may be at it
        size = os.fstat(file.fileno()).st_size
        if size <= limit:
            return False
        file.seek(max(0, size - keep))
        tail = file.read(keep)
        with os.fdopen(
            os.open(_cut_off(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE), "wb"
        ) as copy:
            copy.write(tail.partition(b"\n")[2] or tail)
        file.truncate(0)
    return True


def _cut_off(path: Path) -> Path:
    return path.with_name(f"{path.name}.1")


def _open_to_append(path: Path) -> int:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    if os.fstat(descriptor).st_mode & 0o077 and stat.S_ISREG(os.fstat(descriptor).st_mode):
        with contextlib.suppress(PermissionError):  # another user's file that we may write
            os.fchmod(descriptor, FILE_MODE)
    return descriptor


def _rotated_name(log: Path) -> Path:
    """Later than every other of this log, also where the clock was set back."""
    name = f"{log.name}.{datetime.now(UTC):%Y%m%dT%H%M%S.%f}"
    last = max((path.name for path in rotated_logs(log)), default="")
    return log.with_name(name if name > last else f"{last}0")


def _log_of(path: Path) -> str | None:
    """The name of the log that this file was; None where it is not a rotated one."""
    match = _ROTATED.fullmatch(path.name)
    return match["log"] if match else None


def _is_log(path: Path) -> bool:
    return path.suffix == ".log" or path.name.endswith(".log.1") or _log_of(path) is not None


def _current_logs(directory: Path) -> list[Path]:
    return [path for path in _files(directory) if path.suffix == ".log" and path.name != SUPERVISOR_LOG]


def _last_words(directory: Path) -> list[Path]:
    kept = _files(last_words_beside(directory / "x").parent)
    supervisor = [path for path in (directory / SUPERVISOR_LOG,) if path.is_file()]
    return [path for path in kept if path.suffix == ".log"] + supervisor


def _files(directory: Path) -> list[Path]:
    try:
        with os.scandir(directory) as entries:
            return [Path(entry.path) for entry in entries if entry.is_file(follow_symlinks=False)]
    except OSError:
        return []


def _with_status(paths: Iterator[Path]) -> Iterator[tuple[Path, os.stat_result]]:
    for path in paths:
        with contextlib.suppress(OSError):
            yield path, path.stat()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
