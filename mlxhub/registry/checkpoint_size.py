"""How many bytes of weights a checkpoint has, by its headers alone."""

from collections import Counter
from pathlib import Path

from mlxhub.core.memory import Checkpoint
from mlxhub.registry.formats import is_loaded
from mlxhub.registry.intake import ADAPTER_WEIGHTS
from mlxhub.registry.model_files import ModelFile, list_files
from mlxhub.registry.model_json import read_object
from mlxhub.registry.safetensors_header import check_weights


def read_checkpoint(directory: Path) -> Checkpoint:
    """Raises IntakeRefused."""
    weights: Counter[str] = Counter()
    for file in list_files(directory):
        if is_loaded(file):
            weights.update(check_weights(file))
    return Checkpoint(read_object(ModelFile("config.json", directory / "config.json")), weights)


def read_adapter(directory: Path) -> dict[str, int]:
    """Bytes by dtype. Raises IntakeRefused."""
    return dict(check_weights(ModelFile(ADAPTER_WEIGHTS, directory / ADAPTER_WEIGHTS)))
