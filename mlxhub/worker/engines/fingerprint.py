"""What the state after a prompt depends on, but for the prompt."""

import hashlib
import json
from importlib.metadata import version
from pathlib import Path

import mlx.core as mx

from mlxhub.worker.engines.checkpoint import LoadOptions

_FORMAT = 1


def fingerprint(loaded: LoadOptions) -> str:
    """Of the weights' places, sizes and times, of what changes how they are used, and of who uses them."""
    said = [
        _FORMAT,
        version("mlx"),
        version("mlx-lm"),
        str(mx.default_device()),
        loaded.kv_bits,
        *(_files(directory) for directory in (loaded.directory, loaded.adapter, loaded.draft)),
    ]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _files(directory: Path | None) -> list[tuple[str, int, int]]:
    """Not the tokenizer: what it makes of a prompt is compared anyway. Links are followed to the weights."""
    if directory is None:
        return []
    place = directory.resolve()
    found = [file for pattern in ("*.safetensors", "*config.json", "*.py") for file in place.glob(pattern)]
    return sorted((str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in found)
