"""The built-in demo models: tiny real transformers that answer before the first download."""

from importlib.resources import files
from pathlib import Path

MODEL_REFERENCE = "builtin:demo"
# Thinks before it answers.
THINKING_REFERENCE = "builtin:demo-thinking"
_DIRECTORIES = {MODEL_REFERENCE: "model", THINKING_REFERENCE: "thinking_model"}


def find(model_path: str) -> Path | None:
    """The directory of the built-in model that hub.yaml names so. None: it names no built-in model."""
    return model_directory(model_path) if model_path in _DIRECTORIES else None


def model_directory(reference: str = MODEL_REFERENCE) -> Path:
    """Where the installed package keeps config.json, the weights and the tokenizer."""
    # A model is mapped from disk, so the package has to lie unpacked: pip and uv install it so.
    return Path(str(files("mlxhub.demo") / _DIRECTORIES[reference]))
