"""Which code is installed: a restart is due when this changes, and not before."""

import hashlib
import os
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
# An engine of another version is other code too.
_ENGINES = ("mlx", "mlx-lm")


def build_id() -> str:
    """A hash of what our files hold, so that installing the same code again changes nothing."""
    engines = " ".join(f"{name} {version(name)}" for name in _ENGINES)
    return hashlib.sha256(engines.encode() + hash_of_files(_PACKAGE)).hexdigest()[:16]


def hash_of_files(package: Path) -> bytes:
    """Of their paths and contents, without what Python writes beside them while programs run."""
    digest = hashlib.sha256()
    for path in sorted(_files(package)):
        digest.update(str(path.relative_to(package)).encode() + path.read_bytes())
    return digest.digest()


def _files(package: Path) -> Iterator[Path]:
    for directory, below, names in os.walk(package):
        if "__pycache__" in below:
            below.remove("__pycache__")
        # Editors leave links that lead nowhere.
        yield from (path for name in names if (path := Path(directory, name)).is_file())
