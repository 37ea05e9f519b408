"""What mlxhub wrote where others might look: the list by which uninstall removes, and nothing else."""

from pathlib import Path

from pydantic import TypeAdapter

from mlxhub.files.state import read_state, write_state

_MANIFEST = TypeAdapter(dict[str, Path])


def read_manifest(path: Path) -> dict[str, Path]:
    """Plists by label."""
    return read_state(path, _MANIFEST, {})


def record(path: Path, label: str, plist: Path) -> None:
    """Call before the plist is written: a file of ours that is not listed would never be removed."""
    write_state(path, _MANIFEST, read_manifest(path) | {label: plist})


def forget(path: Path, label: str) -> None:
    """Call after the plist is gone."""
    entries = {key: plist for key, plist in read_manifest(path).items() if key != label}
    write_state(path, _MANIFEST, entries)
