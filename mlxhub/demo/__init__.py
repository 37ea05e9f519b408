"""The built-in demo model: a tiny real transformer that answers before the first download."""

from importlib.resources import files
from pathlib import Path

MODEL_REFERENCE = "builtin:demo"


def model_directory() -> Path:
    """Where the installed package keeps config.json, the weights and the tokenizer."""
    # A model is mapped from disk, so the package has to lie unpacked: pip and uv install it so.
    return Path(str(files("mlxhub.demo") / "model"))
