"""Disk: is there room, may we write, and are logs bounded and private?"""

import contextlib
import os
import shutil
from pathlib import Path

from mlxhub.core.checks import Finding, fail, faults_or, warn
from mlxhub.core.log_space import HUB_BYTES
from mlxhub.files.huggingface import cache_directory
from mlxhub.files.log_files import all_log_bytes, log_files
from mlxhub.fleet.doctor.found import Found

_TOO_LITTLE_BYTES = 500_000_000
_LITTLE_BYTES = 5_000_000_000
_FREE = "remove what you do not need; hf cache ls shows downloaded models"


def space(found: Found) -> list[Finding]:
    places = [found.paths.state, found.paths.logs, _cache(found)]
    disks: dict[int, Path] = {}
    for directory in map(_existing, places):
        disks.setdefault(directory.stat().st_dev, directory)
    free = {path: shutil.disk_usage(path).free for path in disks.values()}
    shown = ", ".join(f"{size / 1e9:.0f} GB free at {path}" for path, size in free.items())
    return faults_or((_space(path, size) for path, size in free.items()), f"{shown}.")


def _space(path: Path, free: int) -> Finding | None:
    if free < _TOO_LITTLE_BYTES:
        return fail(f"Only {free / 1e6:.0f} MB are free at {path}.", _FREE)
    if free < _LITTLE_BYTES:
        return warn(f"Only {free / 1e9:.1f} GB are free at {path}.", _FREE)
    return None


def writable(found: Found) -> list[Finding]:
    places = [found.paths.state, found.paths.logs, found.paths.agents, found.paths.programs]
    faults = (
        fail(f"{directory} cannot be written by you.", f"sudo chown -R {os.getuid()} '{directory}'")
        for directory in dict.fromkeys(map(_existing, places))
        if not os.access(directory, os.W_OK | os.X_OK)
    )
    return faults_or(faults, "State, logs and plists can be written.")


def logs(found: Found) -> list[Finding]:
    size = all_log_bytes(found.paths.logs)
    faults = []
    if size > HUB_BYTES:
        text = f"Logs take {size / 1e6:.0f} MB, more than their {HUB_BYTES / 1e6:.0f} MB."
        faults.append(warn(text, "mlxhub start: every program of the hub keeps them within that"))
    return faults_or(faults, f"Logs take {size / 1e6:.0f} of at most {HUB_BYTES / 1e6:.0f} MB.")


def private(found: Found) -> list[Finding]:
    """Logs tell when and for what models are used, state tells paths."""
    places = [found.paths.logs, found.paths.state, *log_files(found.paths.logs)]
    faults = (warn(f"Others may read {path}.", f"chmod go= '{path}'") for path in places if _is_open(path))
    return faults_or(faults, "Nobody else can read logs and state.")


def _is_open(path: Path) -> bool:
    """Not what is gone: logs are rotated and dropped while somebody looks."""
    with contextlib.suppress(OSError):
        return bool(path.stat().st_mode & 0o077)
    return False


def _cache(found: Found) -> Path:
    return cache_directory(found.machine.runtime.environment, found.machine.home)


def _existing(path: Path) -> Path:
    """The directory itself, or where it would be made."""
    return next(place for place in (path, *path.parents) if place.is_dir())
