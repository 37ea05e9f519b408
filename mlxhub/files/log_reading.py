"""Reading a log that may be rotated or cut while it is read."""

import contextlib
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from mlxhub.files.log_files import earlier_files

_CHUNK_BYTES = 1_000_000
# Of lines that are quoted somewhere else: what a native library prints may hold no line break at all.
_QUOTED_BYTES = 32_768


def tail(log: Path, count: int) -> list[str]:
    """The last lines, for quoting them; none where nothing can be read."""
    reader = LogReader(log)
    try:
        return reader.last_lines(count)[-_QUOTED_BYTES:].decode(errors="replace").splitlines()[-count:]
    except OSError:
        return []
    finally:
        reader.close()


class LogReader:
    """First the end of what there is, then whatever is appended: every line once, in order."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._file: BinaryIO | None = None

    def last_lines(self, count: int) -> bytes:
        """As many as there are, also from earlier files. What comes after them, `more` gives."""
        self.close()
        found: deque[bytes] = deque()
        for file in self._newest_first():
            found.extendleft(reversed(deque(file, count - len(found))))
            if self._file is None:
                self._file = file
            else:
                file.close()
            if len(found) >= count:
                break
        return b"".join(found)

    def more(self) -> Iterator[bytes]:
        """What was appended since; a rotated file is read to its end before the next is begun."""
        if self._file is None:
            self._begin()
        while self._file is not None:
            yield from self._rest()
            following = self._next()
            if following is None:
                return
            yield from self._rest()  # what was written between the last read and the rotation
            self._file.close()
            self._file = following

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin(self) -> None:
        """There was no log: all there is now is new."""
        files = list(self._newest_first())
        for file in files[:-1]:
            file.close()
        self._file = files[-1] if files else None

    def _rest(self) -> Iterator[bytes]:
        assert self._file is not None
        if os.fstat(self._file.fileno()).st_size < self._file.tell():
            self._file.seek(0)
        while chunk := self._file.read(_CHUNK_BYTES):
            yield chunk

    def _next(self) -> BinaryIO | None:
        """The file that was begun after ours, None while ours is the one that is written."""
        assert self._file is not None
        own = os.fstat(self._file.fileno())
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(self._log.stat(), own):
                return None
        files = list(self._newest_first())
        found = [os.fstat(file.fileno()) for file in files]
        place = next((index for index, other in enumerate(found) if os.path.samestat(other, own)), None)
        if place is None:  # ours was dropped or removed: what is left of its successors was written later
            place = sum(other.st_mtime_ns >= own.st_mtime_ns for other in found)
        for index, file in enumerate(files):
            if index != place - 1:
                file.close()
        return files[place - 1] if place else None

    def _newest_first(self) -> Iterator[BinaryIO]:
        """In this order a rotation in between shows a file twice at worst, and hides none."""
        seen: set[tuple[int, int]] = set()
        yield from self._opened(self._log, seen)
        for path in reversed(earlier_files(self._log)):
            yield from self._opened(path, seen)

    def _opened(self, path: Path, seen: set[tuple[int, int]]) -> Iterator[BinaryIO]:
        with contextlib.suppress(FileNotFoundError):
            file = path.open("rb")
            status = os.fstat(file.fileno())
            if (status.st_dev, status.st_ino) in seen:
                file.close()
                return
            seen.add((status.st_dev, status.st_ino))
            yield file
