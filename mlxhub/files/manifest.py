"""What mlxhub wrote where others might look: the list by which it removes, and knows its own."""

import hashlib
import os
import plistlib
from collections.abc import Iterable
from pathlib import Path
from xml.parsers.expat import ExpatError

from pydantic import BaseModel, ConfigDict, TypeAdapter

from mlxhub.core.agents import is_agent_label
from mlxhub.core.paths import Paths
from mlxhub.core.plan import Ownership
from mlxhub.files.state import read_state, write_state


class WrittenFile(BaseModel):
    """`label` is its agent's where it is a plist. `hashes` (SHA-256): of what we last wrote or were about to.

    Two where a write may have been cut short. None in entries of before there were hashes.
    """

    model_config = ConfigDict(frozen=True)

    path: Path
    label: str | None = None
    hashes: tuple[str, ...] = ()


_FILES = TypeAdapter(tuple[WrittenFile, ...])
_MANIFEST: TypeAdapter[tuple[WrittenFile, ...] | dict[str, Path]] = TypeAdapter(
    tuple[WrittenFile, ...] | dict[str, Path]  # the dict: labels and paths alone
)


def installed_agents(paths: Paths) -> dict[str, Path]:
    """Plists by label, as listed; where there is no list, those that look like ours."""
    listed = {file.label: file.path for file in written_files(paths) if file.label is not None}
    return unlisted_agents(paths) | listed


def unlisted_agents(paths: Paths) -> dict[str, Path]:
    """Plists by label that look like ours, should the list be lost; none while there is one.

    They are named as our agents are and run in this hub's directory, where nobody else's agent does.
    """
    if paths.manifest.exists():
        return {}
    return {plist.stem: plist for plist in sorted(paths.agents.glob("*.plist")) if _looks_ours(paths, plist)}


def written_files(paths: Paths) -> tuple[WrittenFile, ...]:
    """Also those that were about to be written. Raises StateUnreadable."""
    found = read_state(paths.manifest, _MANIFEST, ())
    if isinstance(found, dict):
        return tuple(WrittenFile(path=path, label=label) for label, path in found.items())
    return found


def record(paths: Paths, path: Path, content: bytes, *, label: str | None = None) -> None:
    """Call before the file is written: one of ours that is not listed would never be removed.

    Until it is written, what we wrote there before counts as ours too.
    """
    record_all(paths, [(path, content, label)])


def record_all(paths: Paths, files: Iterable[tuple[Path, bytes, str | None]]) -> None:
    """As `record`, of several: path, content and label."""
    listed = {file.path: file for file in written_files(paths)}
    for path, content, label in files:
        known = listed[path].hashes if path in listed else ()
        present = _hash_of_file(path)
        before = (present,) if present in known else ()
        hashes = tuple(dict.fromkeys(hash_ for hash_ in (*before, _hash(content)) if hash_))
        listed[path] = WrittenFile(path=path, label=label, hashes=hashes)
    write_state(paths.manifest, _FILES, tuple(listed.values()))


def forget(paths: Paths, *gone: Path) -> None:
    """Call after these files are gone."""
    files = written_files(paths)
    kept = tuple(file for file in files if file.path not in gone)
    if kept != files:
        write_state(paths.manifest, _FILES, kept)


def ownership(path: Path, files: Iterable[WrittenFile]) -> Ownership:
    """Whose the file at this path is, by what `written_files` says; OURS where there is none.

    One that cannot be read is not ours as it is.
    """
    if not os.path.lexists(path):
        return Ownership.OURS
    entry = next((file for file in files if file.path == path), None)
    if entry is None:
        return Ownership.FOREIGN
    known = not entry.hashes or _hash_of_file(path) in entry.hashes
    return Ownership.OURS if known else Ownership.EDITED


def plist_ownership(paths: Paths, path: Path, files: Iterable[WrittenFile]) -> Ownership:
    """As `ownership`; where the list is lost, a plist that looks like ours is ours."""
    found = ownership(path, files)
    if found is Ownership.FOREIGN and not paths.manifest.exists() and _looks_ours(paths, path):
        return Ownership.OURS
    return found


def _looks_ours(paths: Paths, plist: Path) -> bool:
    """Whether it is named as its label, as our labels are, and runs where only this hub's agents do."""
    if not is_agent_label(plist.stem):
        return False
    try:
        properties = plistlib.loads(plist.read_bytes())
    except (OSError, ValueError, ExpatError):
        return False
    return (
        isinstance(properties, dict)
        and properties.get("WorkingDirectory") == str(paths.working_directory)
        and properties.get("Label") == plist.stem
    )


def _hash_of_file(path: Path) -> str | None:
    try:
        return _hash(path.read_bytes())
    except OSError:
        return None


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
