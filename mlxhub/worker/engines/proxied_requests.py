"""What is asked of a server that somebody else wrote: its bytes, unread."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProxiedRequest:
    """Also as prepared: what it means, only that server knows."""

    path: str
    body: bytes

    @property
    def prompt_tokens(self) -> int:
        """Of which nobody tells."""
        return 0

    def content(self) -> Iterator[bytes]:
        yield self.body

    def terms(self) -> object:
        return self.path
