"""Somebody's work that had to make room: kept, whatever happens to the hub."""

import os
from pathlib import Path

from mlxhub.core.paths import Paths
from mlxhub.files.state import read_whole, write_atomically


def keep_copy(paths: Paths, path: Path) -> Path:
    """Where the copy lies. Never over an earlier one. Raises StateUnreadable and StateUnwritable."""
    content = read_whole(path)
    copy = free_name(paths.replaced / path.name, content)
    write_atomically(copy, content)
    return copy


def free_name(path: Path, content: bytes) -> Path:
    """This path, or with the first number behind it that is free or holds the same content already.

    Raises StateUnreadable.
    """
    candidate, number = path, 0
    while os.path.lexists(candidate) and read_whole(candidate) != content:
        number += 1
        candidate = path.with_name(f"{path.name}.{number}")
    return candidate
