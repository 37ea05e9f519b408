"""Which files of a repository are pulled: what a model needs, nothing whose loading can run code."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

# Weights, configuration, tokenizers, chat templates, and what says whose they are.
PATTERNS = ("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model", "*.tiktoken", "README.md", "LICENSE*")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}")
# Directories that a model has parts in: those of a pipeline, of sentence-transformers, and voices. In others
# lie copies for other programs, as large again.
_PARTS = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,100}")
_MODULES = re.compile(r"[0-9]{1,2}_[A-Za-z]{1,40}|voices")
_CONFIGURATIONS = ("config.json", "model_index.json")
_DIGEST = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_MOST_FILES = 2_000


class NotPullable(ValueError):
    """Why a listing is not taken."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """`digest`: by 64 characters of its content (sha256), by 40 git's, which counts its length in (sha1)."""

    name: str
    size: int
    digest: str


def files_to_pull(listed: Iterable[tuple[str, int | None, str | None]]) -> list[RemoteFile]:
    """Of names, sizes and digests, as a server says. Raises NotPullable."""
    known = list(listed)
    directories = _PARTS if any(name == "model_index.json" for name, _, _ in known) else _MODULES
    chosen = []
    for name, size, digest in known:
        directory, _, last = name.rpartition("/")
        if directory and not directories.fullmatch(directory):
            continue
        if not _NAME.fullmatch(last) or not any(fnmatchcase(last, pattern) for pattern in PATTERNS):
            continue
        if not isinstance(size, int) or size < 0 or digest is None or not _DIGEST.fullmatch(digest):
            raise NotPullable(f"the server does not say how large {name} is and what it holds")
        chosen.append(RemoteFile(name, size, digest))
    names = {file.name for file in chosen}
    if not names.intersection(_CONFIGURATIONS) or not any(name.endswith(".safetensors") for name in names):
        raise NotPullable("it has no config.json or no *.safetensors: no model that was converted for MLX")
    if len(chosen) > _MOST_FILES:
        raise NotPullable(f"it has {len(chosen)} files, more than any model")
    # What describes the model comes first: who looks may see what is coming.
    return sorted(chosen, key=lambda file: (file.name.endswith(".safetensors"), file.name))
