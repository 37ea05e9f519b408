"""Somebody's work that had to make room: kept, whatever happens to the hub."""

from pathlib import Path

from mlxhub.core.paths import Paths
from mlxhub.files.state import write_atomically


def keep_copy(paths: Paths, path: Path) -> Path:
    """Where the copy lies. Never over an earlier one. Raises StateUnwritable."""
    content = path.read_bytes()
    copy = free_name(paths.replaced / path.name, content)
    write_atomically(copy, content)
    return copy


def free_name(path: Path, content: bytes) -> Path:
    """This path, or with the first number behind it that is free or holds the same content already."""
    candidate, number = path, 0
    while candidate.exists() and candidate.read_bytes() != content:
        number += 1
        candidate = path.with_name(f"{path.name}.{number}")
    return candidate
