"""Who else may change what decides about this user's processes."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class OpenPlace:
    """A file or directory that others may change, and the command that ends that."""

    text: str
    fix: str


def open_places(path: Path) -> Iterator[OpenPlace]:
    """Of a file, of what it is a link to, and of the directories in which others could put another one.

    Others are all but this user and root. Raises OSError.
    """
    places = dict.fromkeys([path, path.resolve(), path.parent, path.resolve().parent])
    for place in places:
        found = place.stat()
        if found.st_uid not in (os.getuid(), 0):
            text = f"{place} belongs to user {found.st_uid}, not to you."
            yield OpenPlace(text, f"sudo chown {os.getuid()} '{place}'")
        elif found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not _only_adds(found):
            text = f"Others may change {place} (mode {stat.S_IMODE(found.st_mode):04o})."
            yield OpenPlace(text, f"chmod go-w '{place}'")


def _only_adds(found: os.stat_result) -> bool:
    """As /tmp: everybody may put something there, and nobody replace what is another's."""
    return stat.S_ISDIR(found.st_mode) and bool(found.st_mode & stat.S_ISVTX)
