"""The hub's keys on disk: one file for each, for the user alone, in a directory for the user alone."""

import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter

from mlxhub.core.keys import PREFIX, TICKET_SECONDS, Key, is_proof, make_ticket
from mlxhub.errors import StateUnreadable
from mlxhub.files.locks import hold_lock
from mlxhub.files.state import make_private_directory, read_state, write_state

# Clients show `api` for /v1, and people `admin` for /hub; with `worker` the hub signs its own requests.
Which = Literal["api", "admin", "worker"]
ALL: tuple[Which, ...] = ("api", "admin", "worker")
_KEY_BYTES = 32
# A ticket is good for more than one request: to sign each of them anew would cost as much as routing it.
_TICKET_AGAIN_SECONDS = TICKET_SECONDS / 3
_MOST_TICKETS = 256


class _Stored(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    secret: str
    until: float | None = None


_KEYS = TypeAdapter(tuple[_Stored, ...])


def make_keys(directory: Path) -> None:
    """Those that are not there yet. Raises StateUnwritable and LockTimeout."""
    make_private_directory(directory)
    if all(key_file(directory, which).exists() for which in ALL):
        return
    with hold_lock(_lock(directory)):
        for which in ALL:
            if not key_file(directory, which).exists():
                write_state(key_file(directory, which), _KEYS, (_new(),))


def read_keys(directory: Path, which: Which) -> tuple[Key, ...]:
    """The one in use first; none where there is no such file. Raises StateUnreadable."""
    return tuple(Key(each.secret, each.until) for each in read_state(key_file(directory, which), _KEYS, ()))


def current_key(directory: Path, which: Which) -> str:
    """Raises StateUnreadable, also where there is none."""
    keys = read_keys(directory, which)
    if not keys:
        raise StateUnreadable(str(key_file(directory, which)), "it is not there")
    return keys[0].secret


def rotate_key(directory: Path, which: Which, *, keep_until: float | None) -> str:
    """The new one, in force at once everywhere. The old one is taken until `keep_until` (Unix seconds)."""
    with hold_lock(_lock(directory)):
        old = read_keys(directory, which)[:1] if keep_until is not None else ()
        kept = (_Stored(secret=key.secret, until=keep_until) for key in old)
        new = _new()
        write_state(key_file(directory, which), _KEYS, (new, *kept))
    return new.secret


class KeyFile:
    """One key as a running program knows it: read again when the file is another, as after a rotation."""

    def __init__(self, directory: Path, which: Which) -> None:
        self._directory = directory
        self._which: Which = which
        self._file = key_file(directory, which)
        self._seen: tuple[int, int, int] | None = None
        self._keys: tuple[Key, ...] = ()

    def current(self) -> tuple[Key, ...]:
        """None of them where the file is gone or damaged: then nobody gets in, and doctor says why."""
        try:
            found = self._file.stat()
            seen = (found.st_mtime_ns, found.st_ino, found.st_size)
            if seen != self._seen:
                self._keys = read_keys(self._directory, self._which)
                self._seen = seen
        except (OSError, StateUnreadable):
            self._keys, self._seen = (), None
        return self._keys


class WorkerTrust:
    """Between a hub and its workers: each knows the other by the worker key."""

    def __init__(self, directory: Path, wall_clock: Callable[[], float] = time.time) -> None:
        """`directory` is that of the keys, `wall_clock` in Unix seconds."""
        self._key = KeyFile(directory, "worker")
        self._wall_clock = wall_clock
        self._made: dict[tuple[str, int, bytes], tuple[float, list[tuple[bytes, bytes]]]] = {}

    def sign(self, method: str, port: int, target: bytes) -> list[tuple[bytes, bytes]]:
        """The header for this request; none where the hub has no key, and then no worker takes it."""
        now = self._wall_clock()
        made_at, headers = self._made.get((method, port, target), (-TICKET_SECONDS, []))
        if abs(now - made_at) < _TICKET_AGAIN_SECONDS:
            return headers
        if len(self._made) >= _MOST_TICKETS:
            self._made.clear()
        headers = [
            (b"authorization", make_ticket(key.secret, method, port, target.decode("latin-1"), now).encode())
            for key in self._key.current()[:1]
        ]
        if headers:
            self._made[method, port, target] = now, headers
        return headers

    def is_worker(self, port: int, nonce: str, proof: str) -> bool:
        """Whether this is what a worker of the hub, on this port, says to `nonce`."""
        return is_proof(proof, self._key.current(), port, nonce, self._wall_clock())


def key_file(directory: Path, which: Which) -> Path:
    return directory / f"{which}.json"


def _lock(directory: Path) -> Path:
    return directory / "keys.lock"


def _new() -> _Stored:
    return _Stored(secret=PREFIX + secrets.token_urlsafe(_KEY_BYTES))
