"""What a program that runs strangers' templates may take, as far as the kernel holds it to that."""

import resource
import sys
from collections.abc import Iterator
from pathlib import Path


class TooLong(Exception):
    """It renders to more than it may."""


def forbid_files() -> None:
    """It writes none, and leaves none behind when it dies."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def used_memory() -> int:
    """Bytes, as `limit_memory` counts. 0 where the kernel does not hold to it."""
    if sys.platform != "linux":
        return 0
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def limit_memory(bytes_: int | None) -> None:
    """None: no limit. macOS enforces none: there it is watched from outside."""
    if sys.platform == "linux":
        most = resource.RLIM_INFINITY if bytes_ is None else bytes_
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))


def joined(pieces: Iterator[str], most_characters: int) -> str:
    """Raises TooLong."""
    kept, characters = [], 0
    for piece in pieces:
        characters += len(piece)
        if characters > most_characters:
            raise TooLong
        kept.append(piece)
    return "".join(kept)
