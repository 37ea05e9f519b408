"""What mlxhub wrote where others might look: the list by which uninstall removes, and nothing else."""

import hashlib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

from mlxhub.files.state import read_state, write_state


class ManifestEntry(BaseModel):
    model_config = ConfigDict(frozen=True)

    path: Path
    sha256: str


_MANIFEST = TypeAdapter(dict[str, ManifestEntry])


def read_manifest(path: Path) -> dict[str, ManifestEntry]:
    """Plists by label."""
    return _read(path)


def record(path: Path, label: str, plist: Path, content: bytes) -> None:
    """Call before the plist is written: a file of ours that is not listed would never be removed."""
    entry = ManifestEntry(path=plist, sha256=hashlib.sha256(content).hexdigest())
    write_state(path, _MANIFEST, _read(path) | {label: entry})


def forget(path: Path, label: str) -> None:
    """Call after the plist is gone."""
    write_state(path, _MANIFEST, {key: entry for key, entry in _read(path).items() if key != label})


def _read(path: Path) -> dict[str, ManifestEntry]:
    return read_state(path, _MANIFEST, {})
