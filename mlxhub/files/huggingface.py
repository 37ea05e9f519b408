"""The Hugging Face cache as it lies on disk, without its library."""

from collections.abc import Mapping
from pathlib import Path


def cache_directory(environment: Mapping[str, str], home: Path) -> Path:
    """As a process with this environment finds it."""
    if own := environment.get("HF_HUB_CACHE"):
        return Path(own)
    root = environment.get("HF_HOME")
    return (Path(root) if root else home / ".cache" / "huggingface") / "hub"


def cache_entry(cache: Path, repo: str) -> Path:
    """Where this model of it lies."""
    return cache / f"models--{repo.replace('/', '--')}"
