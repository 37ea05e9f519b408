"""Who is being answered by an engine and who waits for that, in the order of their coming."""

from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

from mlxhub.errors import MlxhubError
from mlxhub.worker.engines.engine import Delta, Failed, Started

Asked = TypeVar("Asked")


class Places(Generic[Asked]):
    """`limit` at most are answered at a time."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.peak = 0
        self._waiting: deque[tuple[int, Asked]] = deque()
        self._taken: dict[int, Asked] = {}

    def __len__(self) -> int:
        return len(self._taken)

    def __contains__(self, handle: int) -> bool:
        return handle in self._taken

    def __getitem__(self, handle: int) -> Asked:
        return self._taken[handle]

    @property
    def has_work(self) -> bool:
        return bool(self._waiting or self._taken)

    @property
    def has_waiting(self) -> bool:
        """Whether somebody would get a place now."""
        return bool(self._waiting) and len(self._taken) < self.limit

    def submit(self, handle: int, asked: Asked) -> None:
        self._waiting.append((handle, asked))

    def admit(self) -> Iterator[tuple[int, Asked]]:
        """Those that get a place now."""
        while self.has_waiting:
            handle, asked = self._waiting.popleft()
            self._taken[handle] = asked
            self.peak = max(self.peak, len(self._taken))
            yield handle, asked

    def leave(self, handle: int) -> None:
        """In any stage, also who was never here."""
        self._waiting = deque(entry for entry in self._waiting if entry[0] != handle)
        self._taken.pop(handle, None)

    def fail(self, error: MlxhubError) -> list[Delta]:
        """All that have a place lose it."""
        failed: list[Delta] = [Failed(handle, error) for handle in self._taken]
        self._taken.clear()
        return failed

    def clear(self) -> None:
        self._waiting.clear()
        self._taken.clear()
        self.peak = 0


def started(admitted: Iterator[tuple[int, Asked]]) -> list[Delta]:
    """They are told at once that they have a place."""
    return [Started(handle) for handle, _ in admitted]
