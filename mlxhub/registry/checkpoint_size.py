"""How many bytes of weights a checkpoint has, by its headers alone."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mlxhub.core.described import TYPES, kind_of
from mlxhub.core.memory import Checkpoint
from mlxhub.core.model_type import ModelType
from mlxhub.registry.formats import is_loaded
from mlxhub.registry.intake import ADAPTER_WEIGHTS, CONFIGURATIONS
from mlxhub.registry.model_files import ModelFile, list_files
from mlxhub.registry.model_json import read_object
from mlxhub.registry.safetensors_header import check_weights


def read_checkpoint(directory: Path, model_type: ModelType | None = None) -> Checkpoint:
    """`model_type` None: as its files tell. Raises IntakeRefused."""
    files = list_files(directory)
    found = read_configuration(files)
    chosen = model_type or TYPES[kind_of(found)]
    weights: Counter[str] = Counter()
    for file in files:
        if is_loaded(file, chosen):
            weights.update(check_weights(file))
    return replace(found, weights=weights)


def read_configuration(files: Sequence[ModelFile]) -> Checkpoint:
    """Without its weights: enough to tell what kind of model it is. Raises IntakeRefused."""
    by_name = {file.name: file for file in files}
    said = next((by_name[name] for name in CONFIGURATIONS if name in by_name), None)
    names = frozenset(name for name in by_name if name.endswith(".json"))
    return Checkpoint({} if said is None else read_object(said), {}, names)


def read_adapter(directory: Path) -> dict[str, int]:
    """Bytes by dtype. Raises IntakeRefused."""
    return dict(check_weights(ModelFile(ADAPTER_WEIGHTS, directory / ADAPTER_WEIGHTS)))
