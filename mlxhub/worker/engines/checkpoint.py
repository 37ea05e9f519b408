"""Where a model lies on this machine, and whether its files can be what they claim. Never downloads."""

import json
import struct
from pathlib import Path

from mlxhub import demo
from mlxhub.errors import LoadFailed

_HEADER_LIMIT = 100_000_000
# What a model needs. A snapshot that lacks only other files, as mlx-lm downloads them, is complete.
_NEEDED_FILES = [
    "*.json",
    "model*.safetensors",
    "*.jinja",
    "tokenizer.model",
    "*.tiktoken",
    "*.txt",
    "*.jsonl",
]


def find_checkpoint(name: str, model_path: str) -> Path:
    """The directory of a path, `builtin:demo`, or a repo id in the Hugging Face cache. Raises LoadFailed."""
    if model_path == demo.MODEL_REFERENCE:
        directory = demo.model_directory()
    elif model_path.startswith((".", "/", "~")) or Path(model_path).is_absolute():
        directory = Path(model_path).expanduser()
    else:
        directory = _in_cache(name, model_path)
    _check(name, directory)
    return directory


def _in_cache(name: str, repo: str) -> Path:
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - an unloaded worker has no use for it
    from huggingface_hub.errors import HFValidationError  # noqa: PLC0415 - likewise

    try:
        return Path(snapshot_download(repo, local_files_only=True, allow_patterns=_NEEDED_FILES))
    except HFValidationError:
        raise LoadFailed(name, f'"{repo}" is neither a directory nor a Hugging Face repo id.') from None
    except OSError:
        # LocalEntryNotFoundError is an OSError, and so is an unreadable cache.
        raise LoadFailed(
            name, f'"{repo}" is not, or not whole, in the Hugging Face cache. Get it with: hf download {repo}'
        ) from None


def _check(name: str, directory: Path) -> None:
    if not directory.is_dir():
        raise LoadFailed(name, f"{directory} is not a directory.")
    config = directory / "config.json"
    try:
        json.loads(config.read_text())
    except FileNotFoundError:
        raise LoadFailed(name, f"{directory} has no config.json, so it is no model in MLX format.") from None
    except (OSError, ValueError) as error:
        raise LoadFailed(name, f"{config} cannot be read: {error}") from None
    weights = sorted(directory.glob("model*.safetensors"))
    if not weights:
        raise LoadFailed(name, f"{directory} has no model*.safetensors.")
    for file in weights:
        if fault := _weights_fault(file):
            raise LoadFailed(name, f"{file} is damaged: {fault} Download it again.")


def _weights_fault(file: Path) -> str | None:
    """A safetensors file: 8 bytes of header length, the header as JSON, exactly the bytes it speaks of."""
    try:
        size = file.stat().st_size
        with file.open("rb") as opened:
            first = opened.read(8)
            if len(first) < 8:
                return "it is shorter than its header."
            (length,) = struct.unpack("<Q", first)
            if length > min(_HEADER_LIMIT, size - 8):
                return "its header is longer than the file."
            header = json.loads(opened.read(length))
        ends = [entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"]
    except OSError as error:
        return f"{error.strerror}."
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        return "its header is not that of a safetensors file."
    expected = 8 + length + max(ends, default=0)
    return None if size == expected else f"it has {size} bytes, its header speaks of {expected}."
