"""Where a model lies on this machine, and whether it may be loaded from there. Never downloads."""

from pathlib import Path

from mlxhub import demo
from mlxhub.errors import LoadFailed
from mlxhub.registry.intake import check_model
from mlxhub.registry.refused import IntakeRefused

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


def find_checkpoint(name: str, model_path: str, *, trust_remote_code: bool = False) -> Path:
    """The directory of a path, `builtin:demo`, or a repo id in the Hugging Face cache. Raises LoadFailed.

    HTTP clients read why: no reason says where on this machine something lies.
    """
    if model_path == demo.MODEL_REFERENCE:
        directory = demo.model_directory()
    elif model_path.startswith((".", "/", "~")) or Path(model_path).is_absolute():
        directory = Path(model_path).expanduser()
    else:
        directory = _in_cache(name, model_path)
    try:
        check_model(directory, trust_remote_code=trust_remote_code)
    except IntakeRefused as refused:
        raise LoadFailed(name, str(refused)) from None
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
