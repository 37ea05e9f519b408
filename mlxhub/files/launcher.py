"""The small programs that plists name, at places that no upgrade of Python moves."""

import os
import stat
from pathlib import Path

from mlxhub.core.paths import Paths
from mlxhub.core.plan import Ownership
from mlxhub.files.manifest import forget, ownership, record_all, written_files
from mlxhub.files.state import remove_file, write_atomically

ROLES = ("worker", "controller")
# What a start needs before it can write down how it ends. launch.sh tries it ahead of each start.
START_CHECK = "import mlxhub.cli.main, mlxhub.cli.run"
_SCRIPT = Path(__file__).parents[1] / "launcher" / "launch.sh"
_MODE = 0o755


def install_launchers(paths: Paths, *, force: bool = False) -> bool:
    """Whether there was anything to write. `force`: write them whatever they seem to be.

    Raises StateUnreadable and StateUnwritable.
    """
    content = _SCRIPT.read_bytes()
    due = _launchers(paths) if force else damaged_launchers(paths)
    listed = {file.path for file in written_files(paths)}
    unlisted = [path for path in _launchers(paths) if path not in listed]
    if due or unlisted:
        record_all(paths, [(path, content, None) for path in dict.fromkeys([*due, *unlisted])])
    for path in due:
        write_atomically(path, content, mode=_MODE)
    return bool(due)


def damaged_launchers(paths: Paths) -> list[Path]:
    """Those that are missing or not as we write them."""
    content = _SCRIPT.read_bytes()
    return [path for path in _launchers(paths) if not _is_installed(path, content)]


def strange_launchers(paths: Paths) -> list[Path]:
    """Those that are somebody else's work. What holds what we would write is ours, listed or not.

    Raises StateUnreadable.
    """
    files = written_files(paths)
    return [
        path
        for path in _launchers(paths)
        if ownership(path, files) is not Ownership.OURS and not _holds(path, _SCRIPT.read_bytes())
    ]


def remove_launchers(paths: Paths) -> None:
    """After the last plist that names them. Raises StateUnreadable and StateUnwritable."""
    launchers = _launchers(paths)
    for path in launchers:
        remove_file(path)
    forget(paths, *launchers)


def _launchers(paths: Paths) -> list[Path]:
    return [paths.launcher(role) for role in ROLES]


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.read_bytes() == content
    except OSError:
        return False


def _is_installed(path: Path, content: bytes) -> bool:
    """A link there, however it came about, is not what we write."""
    try:
        found = path.lstat()
        return (
            stat.S_ISREG(found.st_mode)
            and stat.S_IMODE(found.st_mode) == _MODE
            and found.st_uid == os.getuid()
            and path.read_bytes() == content
        )
    except OSError:
        return False
