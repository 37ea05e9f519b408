"""A program of its own, standard library only: what can be seen of models from outside.

The first argument is a Hugging Face cache, each other one a directory or a repo id. For each of those one
line of JSON: [its directory or null where the cache has none, why no model can be loaded from there or null,
bytes of its weights].
"""

import json
import sys
from pathlib import Path


def cached_snapshot(cache: Path, repo: str) -> Path | None:
    """The directory of the revision that `main` means; None where it was not downloaded."""
    own = cache / f"models--{repo.replace('/', '--')}"
    try:
        revision = (own / "refs" / "main").read_text().strip()
    except (OSError, ValueError):
        return None
    snapshot = own / "snapshots" / revision
    return snapshot if revision and snapshot.is_dir() else None


def _look(directory: Path) -> tuple[str | None, int]:
    try:
        if not directory.is_dir():
            return "there is no such directory", 0
        names = sorted(entry.name for entry in directory.iterdir())
        config = next((name for name in ("config.json", "model_index.json") if name in names), None)
        if config is None:
            return "it has no config.json, so it is no model in MLX format", 0
        json.loads((directory / config).read_bytes())
        # The parts of a pipeline lie in directories of their own.
        weights = sorted(directory.glob("*.safetensors")) or sorted(directory.glob("*/*.safetensors"))
        if not weights:
            return "it has no *.safetensors", 0
        for file in weights:
            with file.open("rb") as opened:
                opened.read(8)
        return None, sum(file.stat().st_size for file in weights)
    except OSError as error:
        return f"{error.filename} cannot be read: {error.strerror}", 0
    except (ValueError, RecursionError):
        return "its config.json is not JSON", 0


def _find(cache: Path, location: str) -> tuple[str | None, str | None, int]:
    directory = Path(location) if location.startswith("/") else cached_snapshot(cache, location)
    return (None, None, 0) if directory is None else (str(directory), *_look(directory))


if __name__ == "__main__":
    for argument in sys.argv[2:]:
        sys.stdout.write(json.dumps(_find(Path(sys.argv[1]), argument)) + "\n")
        sys.stdout.flush()
