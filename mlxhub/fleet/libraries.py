"""Which models of a hub need libraries that are not installed."""

import json
import sys

from mlxhub.core.config import HubConfig, ModelConfig
from mlxhub.core.model_type import ModelType
from mlxhub.core.paths import model_location
from mlxhub.files.huggingface import cache_directory
from mlxhub.files.machine import Machine
from mlxhub.files.probes import line_of_each
from mlxhub.registry.extras import HOW_TO_GET_THEM, has_libraries

_SECONDS = 5.0
_PROGRAM = (sys.executable, "-I", "-m", "mlxhub.registry.inference")


def lacking_libraries(config: HubConfig, machine: Machine) -> list[str]:
    """A warning for each; all other models run. Blocks, with a limit, only where anything is lacking."""
    lacking = {model_type for model_type in ModelType if not has_libraries(model_type)}
    if not lacking:
        return []
    types = _types_of([model for model in config.models if model.model_path is not None], machine)
    return [
        f'model "{name}": its type, {model_type}, needs libraries that are not installed. {HOW_TO_GET_THEM}.'
        for name, model_type in types.items()
        if model_type in lacking
    ]


def _types_of(models: list[ModelConfig], machine: Machine) -> dict[str, ModelType]:
    """As hub.yaml says, or else their files."""
    base = machine.paths.config.parent
    unsaid = {
        model.name: model_location(model.model_path or "", home=machine.home, base=base)
        for model in models
        if model.model_type is None
    }
    cache = cache_directory(machine.runtime.environment, machine.home)
    found = line_of_each([*_PROGRAM, str(cache)], list(unsaid.values()), _SECONDS)
    types = {model.name: model.model_type for model in models if model.model_type is not None}
    for name, place in unsaid.items():
        if (line := found[place]) is not None and (told := json.loads(line)) is not None:
            types[name] = ModelType(told)
    return types
