"""How much of the prompts is read in one step, while whoever else is being answered waits for it."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Prefill:
    """Tokens of a prompt in one step: of a request that is `alone`, and of one that is not (`shared`).

    Prompts that are read together are padded to the longest chunk. Beside a running answer all of them have
    the room of two chunks, so that a short prompt need not wait for the end of a long one; where nobody is
    answered yet, they have that of a lone request.
    """

    alone: int
    shared: int

    def chunk(self, rows: int) -> int:
        return self.alone if rows == 1 else min(self.shared, self.alone)

    def has_room(self, reading: Sequence[int], coming: int, *, others_decode: bool) -> bool:
        """For one more: `reading` and `coming` are lengths of what is not read yet."""
        chunk = self.chunk(len(reading) + 1 + others_decode)
        longest = max(min(length, chunk) for length in (*reading, coming))
        room = 2 * chunk if others_decode else max(self.alone, 2 * chunk)
        return not reading or (len(reading) + 1) * longest <= room
