"""Which models lie on this machine's disks: a program of its own, since a disk that is gone can hang it.

The first argument is a file with what is known, {directory: [stamp, found]}, which need not be there; each
other one a place: a Hugging Face cache, or a directory below which models lie. For each model one line of
JSON: [name, directory, stamp, found]. `name` is a repo id, or the directory itself. `found` is {"config",
"weights", "names", "bytes"}, or {"fault"}; where the stamp is as known, it is what is known.
"""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mlxhub.core.described import TYPES, kind_of
from mlxhub.files.checkpoint_probe import cached_snapshot
from mlxhub.registry.checkpoint_size import read_checkpoint, read_configuration
from mlxhub.registry.formats import check_formats, check_index, is_index
from mlxhub.registry.intake import CONFIGURATIONS
from mlxhub.registry.model_files import list_files
from mlxhub.registry.model_json import read_object
from mlxhub.registry.refused import IntakeRefused

MOST_MODELS = 5_000
# A model among directories of its maker's, among all of them.
_LEVELS = 3
_PREFIX = "models--"
# What is known of models, as it is written down here: another one is looked for again.
_FORMAT = 2


def main() -> None:
    known = _read(Path(sys.argv[1]))
    seen: set[str] = set()
    for place in sys.argv[2:]:
        for name, directory in _models_in(Path(place)):
            if len(seen) >= MOST_MODELS:
                return
            if str(directory) in seen:
                continue
            seen.add(str(directory))
            stamp = _stamp(directory)
            before = known.get(str(directory))
            found = before[1] if before is not None and before[0] == stamp else _look(directory)
            sys.stdout.write(json.dumps([name, str(directory), stamp, found]) + "\n")
            sys.stdout.flush()


def _read(known: Path) -> dict[str, Any]:
    """What is damaged is looked at again."""
    try:
        said = json.loads(known.read_bytes())
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def _models_in(place: Path) -> Iterator[tuple[str, Path]]:
    try:
        entries = sorted(os.scandir(place), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith(_PREFIX):
            repo = entry.name.removeprefix(_PREFIX).replace("--", "/")
            if (snapshot := cached_snapshot(place, repo)) is not None:
                yield repo, snapshot
    yield from ((str(found), found) for found in _below(place, _LEVELS))


def _below(directory: Path, levels: int) -> Iterator[Path]:
    """Directories with a configuration; what lies below one of these is its own affair."""
    try:
        names = {entry.name: entry for entry in os.scandir(directory)}
    except OSError:
        return
    if any(name in names for name in CONFIGURATIONS):
        yield directory
        return
    for name, entry in sorted(names.items()):
        hidden = name.startswith((".", _PREFIX))
        if levels and not hidden and entry.is_dir():
            yield from _below(Path(entry.path), levels - 1)


def _stamp(directory: Path) -> str:
    """Another one where any of its files is another, or was written again."""
    files, size, latest = 0, 0, 0
    for entry in _entries(directory):
        try:
            status = entry.stat()
        except OSError:
            continue
        files, size, latest = files + 1, size + status.st_size, max(latest, status.st_mtime_ns)
    return f"{_FORMAT} {files} {size} {latest}"


def _entries(directory: Path) -> Iterator["os.DirEntry[str]"]:
    try:
        with os.scandir(directory) as entries:
            yield from entries
    except OSError:
        return


def _look(directory: Path) -> Mapping[str, Any]:
    try:
        files = list_files(directory)
        check_formats(files, TYPES[kind_of(read_configuration(files))], trust_remote_code=False)
        for file in files:
            if is_index(file):
                check_index(file, read_object(file), files)
        found = read_checkpoint(directory)
        size = sum(file.path.stat().st_size for file in files)
    except IntakeRefused as refused:
        return {"fault": str(refused)}
    except OSError as error:
        return {"fault": f"{error.filename} cannot be read: {error.strerror}"}
    return {
        "config": found.config,
        "weights": dict(found.weights),
        "names": sorted(found.names),
        "bytes": size,
    }


if __name__ == "__main__":
    main()
