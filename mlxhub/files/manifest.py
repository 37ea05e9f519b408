"""What mlxhub wrote where others might look: the list by which uninstall removes, and nothing else."""

import plistlib
from pathlib import Path
from xml.parsers.expat import ExpatError

from pydantic import TypeAdapter

from mlxhub.core.paths import Paths
from mlxhub.files.state import read_state, write_state

_MANIFEST = TypeAdapter(dict[str, Path])


def installed_agents(paths: Paths) -> dict[str, Path]:
    """Plists by label: those that are listed, and those that run in this hub's directory.

    The latter should the list be lost: nobody else's agent has that working directory.
    """
    return _recognized(paths) | _read(paths)


def record(paths: Paths, label: str) -> None:
    """Call before the plist is written: a file of ours that is not listed would never be removed."""
    write_state(paths.manifest, _MANIFEST, _read(paths) | {label: paths.plist(label)})


def forget(paths: Paths, label: str) -> None:
    """Call after the plist is gone."""
    entries = {key: plist for key, plist in _read(paths).items() if key != label}
    write_state(paths.manifest, _MANIFEST, entries)


def _read(paths: Paths) -> dict[str, Path]:
    return read_state(paths.manifest, _MANIFEST, {})


def _recognized(paths: Paths) -> dict[str, Path]:
    found = {}
    for plist in sorted(paths.agents.glob("*.plist")):
        try:
            properties = plistlib.loads(plist.read_bytes())
        except (OSError, ValueError, ExpatError):
            continue
        ours = isinstance(properties, dict) and properties.get("WorkingDirectory") == str(
            paths.working_directory
        )
        if ours and properties.get("Label") == plist.stem:
            found[plist.stem] = plist
    return found
