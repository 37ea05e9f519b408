"""What is kept of responses, within bounds, so that a request can go on from one."""

from collections.abc import Sequence
from dataclasses import dataclass, field

# Of an entry's objects and its places in the two tables below, measured with a little to spare.
OVERHEAD_BYTES = 500


@dataclass(frozen=True, slots=True, eq=False)
class KeptResponse:
    """Only what came with this one: what was before is its predecessors', shared by all that go on from them.

    So a conversation of any length is kept once, not once for each of its turns. `input_items` and
    `response` are JSON.
    """

    id: str
    input_items: bytes
    response: bytes
    previous: "KeptResponse | None" = field(default=None, repr=False)
    total_bytes: int = field(init=False)

    def __post_init__(self) -> None:
        earlier = 0 if self.previous is None else self.previous.total_bytes
        object.__setattr__(self, "total_bytes", earlier + self.own_bytes)

    @property
    def own_bytes(self) -> int:
        return len(self.input_items) + len(self.response) + OVERHEAD_BYTES

    @property
    def conversation(self) -> Sequence["KeptResponse"]:
        """From the first on, this one last."""
        found = [self]
        while (previous := found[-1].previous) is not None:
            found.append(previous)
        return found[::-1]


class ResponseStore:
    """The least recently used go first, beyond a number of responses or of bytes.

    One that has gone can no longer be asked for; its items take memory until those that go on from it have
    gone too, and are counted for as long.
    """

    def __init__(self, most_entries: int, most_bytes: int) -> None:
        self._most_entries = most_entries
        self._most_bytes = most_bytes
        self._entries: dict[str, KeptResponse] = {}  # the one used last comes last
        # How many hold on to each that takes memory: the table above, and those that go on from it.
        self._holders: dict[str, int] = {}
        self.used_bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def is_on(self) -> bool:
        return self._most_entries > 0

    def find(self, response_id: str) -> KeptResponse | None:
        """It has been used now."""
        found = self._entries.pop(response_id, None)
        if found is not None:
            self._entries[response_id] = found
        return found

    def keep(self, response: KeptResponse) -> bool:
        """Whether it is kept: not where it takes more than all may, with what it goes on from.

        Of that, some may have gone since it was found; it is held again.
        """
        if not self.is_on or response.total_bytes > self._most_bytes:
            return False
        self._entries[response.id] = response
        self._hold(response)
        while len(self._entries) > self._most_entries or self.used_bytes > self._most_bytes:
            self.remove(next(iter(self._entries)))
        return True

    def remove(self, response_id: str) -> bool:
        """Whether it was there."""
        removed = self._entries.pop(response_id, None)
        if removed is None:
            return False
        self._let_go(removed)
        return True

    def _hold(self, response: KeptResponse) -> None:
        held: KeptResponse | None = response
        while held is not None:
            holders = self._holders.get(held.id, 0)
            self._holders[held.id] = holders + 1
            if holders > 0:
                return
            self.used_bytes += held.own_bytes
            held = held.previous

    def _let_go(self, response: KeptResponse) -> None:
        let_go: KeptResponse | None = response
        while let_go is not None:
            self._holders[let_go.id] -= 1
            if self._holders[let_go.id] > 0:
                return
            del self._holders[let_go.id]
            self.used_bytes -= let_go.own_bytes
            let_go = let_go.previous
