"""Where a model lies on this machine, and whether it may be loaded from there. Never downloads."""

from dataclasses import dataclass
from pathlib import Path

from mlxhub import demo
from mlxhub.core.engine_options import ReasoningParser, ToolCallParser
from mlxhub.core.model_type import ModelType
from mlxhub.errors import LoadFailed
from mlxhub.registry.intake import check_adapter, check_model, read_template
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
# Of other kinds, whose parts lie in directories of their own.
_MORE_FILES = ["*.safetensors"]


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """Directories and texts, checked already. `name`: of the model, for errors."""

    name: str
    directory: Path
    model_type: ModelType = ModelType.LM
    trust_remote_code: bool = False
    adapter: Path | None = None
    chat_template: str | None = None
    tool_call_parser: ToolCallParser | None = None
    reasoning_parser: ReasoningParser | None = None
    kv_bits: int | None = None
    draft: Path | None = None
    draft_tokens: int = 3


def find_checkpoint(
    name: str,
    model_path: str,
    *,
    model_type: ModelType = ModelType.LM,
    trust_remote_code: bool = False,
) -> Path:
    """The directory of a path, a built-in model, or a repo id in the Hugging Face cache. Raises LoadFailed.

    HTTP clients read why: no reason says where on this machine something lies.
    """
    if (built_in := demo.find(model_path)) is not None:
        directory = built_in
    elif model_path.startswith((".", "/", "~")) or Path(model_path).is_absolute():
        directory = Path(model_path).expanduser()
    else:
        directory = _in_cache(name, model_path, model_type)
    try:
        check_model(directory, model_type, trust_remote_code=trust_remote_code)
    except IntakeRefused as refused:
        raise LoadFailed(name, str(refused)) from None
    return directory


def find_draft(name: str, draft_model: str, *, trust_remote_code: bool = False) -> Path:
    """As find_checkpoint, of the model's draft model."""
    try:
        return find_checkpoint(name, draft_model, trust_remote_code=trust_remote_code)
    except LoadFailed as failed:
        raise LoadFailed(name, f"draft_model: {failed.reason}") from None


def find_adapter(name: str, adapter_path: str) -> Path:
    """Raises LoadFailed."""
    directory = Path(adapter_path)
    try:
        check_adapter(directory)
    except IntakeRefused as refused:
        raise LoadFailed(name, f"adapter_path: {refused}") from None
    return directory


def find_template(name: str, chat_template_file: str) -> str:
    """Its text. Raises LoadFailed."""
    try:
        return read_template(Path(chat_template_file))
    except IntakeRefused as refused:
        raise LoadFailed(name, f"chat_template_file: {refused}") from None


def _in_cache(name: str, repo: str, model_type: ModelType) -> Path:
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - an unloaded worker has no use for it
    from huggingface_hub.errors import HFValidationError  # noqa: PLC0415 - likewise

    try:
        needed = _NEEDED_FILES if model_type is ModelType.LM else [*_NEEDED_FILES, *_MORE_FILES]
        return Path(snapshot_download(repo, local_files_only=True, allow_patterns=needed))
    except HFValidationError:
        raise LoadFailed(name, f'"{repo}" is neither a directory nor a Hugging Face repo id.') from None
    except OSError:
        # LocalEntryNotFoundError is an OSError, and so is an unreadable cache.
        raise LoadFailed(
            name,
            f'"{repo}" is not, or not whole, in the Hugging Face cache. '
            f"Get it with: mlxhub models pull {repo}",
        ) from None
