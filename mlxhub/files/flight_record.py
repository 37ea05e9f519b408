"""Where a process writes what it is doing, so that its death, however it comes, leaves that behind.

The kernel keeps what was written when the process is gone. Nothing is synced: after a loss of power there is
nothing to blame a request for.
"""

import os
import struct
from pathlib import Path

from mlxhub.core.flight import Flight, FlownRequest
from mlxhub.errors import StateUnwritable
from mlxhub.files.state import make_private_directory

DIGEST_BYTES = 16
# Those beyond are served and not written down.
MOST_REQUESTS = 1024
_HEADER = struct.Struct("<8sQQ")
_MARK = b"mlxhub1\n"
# Used: 1. It is written with the rest, in one call.
_SLOT = struct.Struct(f"<Q{DIGEST_BYTES}sQ")
_EMPTY = bytes(_SLOT.size)


def read_flight(path: Path) -> Flight:
    """What is written there. A file that is not there, or damaged, tells nothing."""
    try:
        content = path.read_bytes() if path.is_file() else b""
    except OSError:
        return Flight()
    if len(content) < _HEADER.size or not content.startswith(_MARK):
        return Flight()
    _, footprint, reserved = _HEADER.unpack_from(content)
    end = len(content) - (len(content) - _HEADER.size) % _SLOT.size
    slots = _SLOT.iter_unpack(content[_HEADER.size : end])
    requests = tuple(FlownRequest(digest.hex(), size) for used, digest, size in slots if used)
    return Flight(requests, footprint, reserved)


class FlightRecord:
    """Of this process, from its begin. What cannot be written is not: no request fails for it."""

    def __init__(self, path: Path) -> None:
        """What was written there is gone. Raises StateUnwritable."""
        make_private_directory(path.parent)
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            # All at once, so that no full disk matters later.
            os.pwrite(self._descriptor, _HEADER.pack(_MARK, 0, 0) + _EMPTY * MOST_REQUESTS, 0)
        except OSError as error:
            raise StateUnwritable(str(path), error.strerror or str(error)) from error
        self._free = list(range(MOST_REQUESTS))
        self._is_final = False

    def note_memory(self, footprint_bytes: int, reserved_bytes: int) -> None:
        self._write(0, _HEADER.pack(_MARK, footprint_bytes, reserved_bytes))

    def begin(self, request: FlownRequest) -> int | None:
        """What `end` takes."""
        if not self._free:
            return None
        slot = self._free.pop()
        self._write(_place(slot), _SLOT.pack(1, bytes.fromhex(request.digest), request.size))
        return slot

    def end(self, slot: int | None) -> None:
        if slot is not None:
            self._write(_place(slot), _EMPTY)
            self._free.append(slot)

    def make_final(self) -> None:
        """The process is beyond repair: what is in flight now stays written, however it still ends."""
        self._is_final = True

    def close(self) -> None:
        self._is_final = True
        os.close(self._descriptor)

    def _write(self, offset: int, content: bytes) -> None:
        if self._is_final:
            return
        try:
            os.pwrite(self._descriptor, content, offset)
        except OSError:
            self._is_final = True


def _place(slot: int) -> int:
    return _HEADER.size + slot * _SLOT.size
