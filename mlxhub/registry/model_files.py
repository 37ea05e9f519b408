"""What lies in a model's directory, by names and kinds alone: nothing is opened."""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mlxhub.registry.refused import IntakeRefused

MAX_ENTRIES = 10_000
MAX_DEPTH = 8
_NAME = re.compile(r"[A-Za-z0-9._-]+")
# Where huggingface_hub keeps what several repositories share, below its cache: blobs/<2 hex>/<hash>.
_SHARED_BLOB = re.compile(r"[0-9a-f]{2}/[0-9a-f]{64}")
_RENAME = "Delete or rename it"


@dataclass(frozen=True, slots=True)
class ModelFile:
    """`name` is relative to the model's directory, with slashes; `path` may be a link that ends well."""

    name: str
    path: Path

    @property
    def key(self) -> str:
        """What it is, is told by this: a Mac's disk gives TOKENIZER.json to who asks for tokenizer.json."""
        return self.name.lower()

    @property
    def last_name(self) -> str:
        return self.key.rpartition("/")[2]


def name_fault(name: str) -> str | None:
    """Why no file may have this name, which is relative and has slashes, as repositories list theirs."""
    parts = name.split("/")
    if len(parts) > MAX_DEPTH:
        return f"lies deeper than {MAX_DEPTH} directories"
    if any(part in (".", "..") or _NAME.fullmatch(part) is None for part in parts):
        return "has a name of other characters than A-Z a-z 0-9 . _ -"
    return None


def list_files(directory: Path) -> tuple[ModelFile, ...]:
    """Every file, by name. Raises IntakeRefused on the first that must not be there."""
    root = Path(os.path.realpath(directory))
    found: list[ModelFile] = []
    waiting = [""]
    entries = 0
    while waiting:
        below = waiting.pop()
        spellings: dict[str, str] = {}
        for entry in _entries(root, below):
            entries += 1
            if entries > MAX_ENTRIES:
                raise IntakeRefused(
                    f"it has more than {MAX_ENTRIES} files and directories", "Give it a directory of its own"
                )
            name = f"{below}{entry.name}"
            _check_name(name, spellings)
            if entry.is_dir(follow_symlinks=False):
                waiting.append(f"{name}/")
            else:
                _check_kind(name, entry, root)
                found.append(ModelFile(name, root / name))
    return tuple(sorted((file for file in found if not _is_apple_double(file)), key=lambda file: file.name))


def _entries(root: Path, below: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(root / below) as entries:
            yield from entries
    except (FileNotFoundError, NotADirectoryError):
        raise IntakeRefused(
            "its model_path is not a directory", "Correct it in hub.yaml, or attach the disk"
        ) from None
    except OSError as error:
        raise IntakeRefused(
            f"its directory {below} cannot be read: {error.strerror}".replace("  ", " "), "Correct its rights"
        ) from None


def _check_name(name: str, spellings: dict[str, str]) -> None:
    """A Mac's disk takes A and a for the same name: what another machine packed would overwrite itself."""
    if fault := name_fault(name):
        raise IntakeRefused(f"{ascii(name)[:200]} {fault}", _RENAME)
    other = spellings.setdefault(name.casefold(), name)
    if other != name:
        raise IntakeRefused(f"{other} and {name} differ in upper and lower case only", "Delete one of them")


def _check_kind(name: str, entry: os.DirEntry[str], root: Path) -> None:
    """A pipe or a device must not even be opened: that can hang for ever."""
    if not entry.is_symlink():
        if not entry.is_file(follow_symlinks=False):
            raise IntakeRefused(f"{name} is neither a file nor a directory", "Delete it")
        return
    target = Path(os.path.realpath(entry.path))
    if not _ends_well(target, root):
        raise IntakeRefused(
            f"{name} is a link that leads out of the model's directory", "Put the file itself in its place"
        )
    try:
        is_file = stat.S_ISREG(target.lstat().st_mode)
    except OSError:
        is_file = False
    if not is_file:
        raise IntakeRefused(f"{name} is a link that does not end at a file", "Delete it")


def _ends_well(target: Path, root: Path) -> bool:
    """Within the model; in a Hugging Face cache, also in its repository's own blobs or the shared ones."""
    if target.is_relative_to(root):
        return True
    repository = root.parent.parent
    if root.parent.name != "snapshots" or not repository.name.startswith("models--"):
        return False
    shared = repository.parent / "blobs"
    return target.is_relative_to(repository / "blobs") or (
        target.is_relative_to(shared)
        and _SHARED_BLOB.fullmatch(target.relative_to(shared).as_posix()) is not None
    )


def _is_apple_double(file: ModelFile) -> bool:
    """macOS puts one beside each file on a disk that is not its own; loaders see those of templates only."""
    return file.last_name.startswith("._") and not file.key.startswith("additional_chat_templates/")
