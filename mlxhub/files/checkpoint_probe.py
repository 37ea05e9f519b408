"""A program of its own, standard library only: what can be seen of model directories from outside.

For each argument one line of JSON: [why no model can be loaded from there or null, bytes of its weights].
"""

import json
import sys
from pathlib import Path


def _look(directory: Path) -> tuple[str | None, int]:
    try:
        if not directory.is_dir():
            return "there is no such directory", 0
        names = sorted(entry.name for entry in directory.iterdir())
        if "config.json" not in names:
            return "it has no config.json, so it is no model in MLX format", 0
        json.loads((directory / "config.json").read_bytes())
        weights = [directory / name for name in names if name.endswith(".safetensors")]
        if not weights:
            return "it has no *.safetensors", 0
        for file in weights:
            with file.open("rb") as opened:
                opened.read(8)
        return None, sum(file.stat().st_size for file in weights)
    except OSError as error:
        return f"{error.filename} cannot be read: {error.strerror}", 0
    except ValueError:
        return "its config.json is not JSON", 0


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        sys.stdout.write(json.dumps(_look(Path(argument))) + "\n")
        sys.stdout.flush()
