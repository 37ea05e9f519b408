"""Which models of a hub are in memory, and how much each has reserved: a locked file for each.

Its worker holds the lock from before a load until after the unload, so nothing of it outlives the process.
That one file is the model's seat in its group and its entry in the ledger: which group it is in, and how many
of that may be loaded, stands elsewhere and may change meanwhile.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from mlxhub.core.limits import Holder
from mlxhub.errors import LoadNotBegun, StateUnreadable, StateUnwritable
from mlxhub.files.locks import hold_lock, is_locked, try_lock

GATE_SECONDS = 10.0

# Gets the others that are in memory; raises LoadRefused where one more may not be.
Judge = Callable[[Sequence[Holder]], None]


class Ledger:
    """Everything here blocks, for a moment."""

    def __init__(self, directory: Path) -> None:
        self._entries = directory / "loaded"
        self._gate = directory / "gate"
        self._turnstile = directory / "turnstile"

    def holders(self) -> tuple[Holder, ...]:
        """By name. Raises LockTimeout and StateUnreadable."""
        if not self._entries.is_dir():
            return ()
        with self._passing():
            return self._held()

    def take(self, name: str, judge: Judge) -> "Entry":
        """A place for this model, with nothing reserved yet. Raises what `judge` does, and LoadNotBegun."""
        with self._passing():
            judge([holder for holder in self._held() if holder.name != name])
            path = self._entries / name
            descriptor = try_lock(path)
            if descriptor is None:
                raise LoadNotBegun(name, "another process of it, on its way out, has it in memory.")
            entry = Entry(self, path, descriptor)
            try:
                entry.write(0)
            except StateUnwritable:
                entry.give_back()
                raise
            return entry

    def reserve(self, entry: "Entry", size: int, judge: Judge) -> None:
        """So many bytes for it from now on. Raises what `judge` does."""
        with self._passing():
            judge([holder for holder in self._held() if holder.name != entry.name])
            entry.write(size)

    def try_turnstile(self) -> int | None:
        """The descriptor of who may load now, until it is closed; None: another model is being loaded."""
        return try_lock(self._turnstile)

    @contextlib.contextmanager
    def _passing(self) -> Iterator[None]:
        """One at a time looks and acts: nothing changes between a look and what follows from it."""
        with hold_lock(self._gate, seconds=GATE_SECONDS):
            yield

    def _held(self) -> tuple[Holder, ...]:
        if not self._entries.is_dir():
            return ()
        return tuple(
            Holder(path.name, _reserved(path)) for path in sorted(self._entries.iterdir()) if is_locked(path)
        )


class Entry:
    """A model's place in memory, as its worker holds it."""

    def __init__(self, ledger: Ledger, path: Path, descriptor: int) -> None:
        self.name = path.name
        self.reserved_bytes = 0
        self._ledger = ledger
        self._path = path
        self._descriptor = descriptor

    def reserve(self, size: int, judge: Judge) -> None:
        self._ledger.reserve(self, size, judge)

    def write(self, size: int) -> None:
        """For the ledger, which lets nobody read meanwhile. Raises StateUnwritable."""
        content = str(size).encode()
        try:
            os.pwrite(self._descriptor, content, 0)
            os.ftruncate(self._descriptor, len(content))
        except OSError as error:
            raise StateUnwritable(str(self._path), error.strerror or str(error)) from error
        self.reserved_bytes = size

    def give_back(self) -> None:
        """Once."""
        os.close(self._descriptor)


def _reserved(path: Path) -> int:
    """Of a file whose lock is held."""
    try:
        return int(path.read_bytes())
    except (OSError, ValueError) as error:
        raise StateUnreadable(str(path), "it does not say how much memory its holder has reserved") from error
