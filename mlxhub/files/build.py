"""Which code is installed: a restart is due when this changes, and not before."""

import hashlib
from importlib.metadata import version
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
# An engine of another version is other code too.
_ENGINES = ("mlx", "mlx-lm")


def build_id() -> str:
    """A hash of what our files hold, so that installing the same code again changes nothing."""
    digest = hashlib.sha256(" ".join(f"{name} {version(name)}" for name in _ENGINES).encode())
    files = (path for path in _PACKAGE.rglob("*") if path.is_file() and path.suffix != ".pyc")
    for path in sorted(files):
        digest.update(str(path.relative_to(_PACKAGE)).encode() + path.read_bytes())
    return digest.hexdigest()[:16]
