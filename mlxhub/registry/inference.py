"""What type a model is that hub.yaml says nothing of, as its files tell.

As a program: the first argument is a Hugging Face cache, each other one a model_path; for each of those one
line of JSON, its type or null.
"""

import json
import sys
from pathlib import Path

from mlxhub import demo
from mlxhub.core.described import TYPES, kind_of
from mlxhub.core.model_type import ModelType
from mlxhub.files.checkpoint_probe import cached_snapshot
from mlxhub.registry.checkpoint_size import read_configuration
from mlxhub.registry.model_files import list_files
from mlxhub.registry.refused import IntakeRefused


def infer_type(model_path: str, cache: Path | None = None) -> ModelType | None:
    """`model_path`: a directory, a built-in model, or a repo id in `cache`.

    None: it is not there to be read.
    """
    if demo.find(model_path) is not None:
        return ModelType.LM
    if model_path.startswith((".", "/", "~")):
        directory: Path | None = Path(model_path).expanduser()
    elif cache is None:
        directory = None
    else:
        directory = cached_snapshot(cache, model_path)
    if directory is None:
        return None
    try:
        found = read_configuration(list_files(directory))
    except IntakeRefused:
        return None
    return TYPES[kind_of(found)] if found.config else None


if __name__ == "__main__":
    for argument in sys.argv[2:]:
        sys.stdout.write(json.dumps(infer_type(argument, Path(sys.argv[1]))) + "\n")
        sys.stdout.flush()
