"""Which kinds of files a model may bring: weights as safetensors, nothing whose loading can run code."""

import re
from collections.abc import Mapping, Sequence

from mlxhub.core.model_type import ModelType
from mlxhub.registry.model_files import ModelFile, name_fault
from mlxhub.registry.model_json import Json
from mlxhub.registry.refused import DOWNLOAD_AGAIN, TRUST, IntakeRefused

_CODE = re.compile(r"\.(py|pyw|pyc|pyo|pyd|pyx|pyz|egg|whl|so(\.\d+)*|dylib|dll)$", re.IGNORECASE)
# Pickles, containers of pickles, and what MLX has loaders for that trust every byte.
_UNSAFE = re.compile(
    r"\.(bin|pt|pth|pkl|pickle|dill|ckpt|joblib|nemo|npy|npz|gguf|ggml|h5|hdf5|keras)$", re.IGNORECASE
)
_WEIGHTS = re.compile(r"model[^/]*\.safetensors")
_WEIGHTS_BY_NAME = (ModelType.LM, ModelType.ECHO)


def check_formats(files: Sequence[ModelFile], model_type: ModelType, *, trust_remote_code: bool) -> None:
    """By names alone. Raises IntakeRefused."""
    names = [file.name for file in files]
    unsafe = next((name for name in names if _UNSAFE.search(name)), None)
    if not any(is_loaded(file, model_type) for file in files):
        rather = f" (it has {unsafe}, which mlxhub does not load)" if unsafe else ""
        raise IntakeRefused(
            f"its directory has no {_wanted(model_type)}{rather}",
            "Download the whole model, or one that was converted for MLX",
        )
    if trust_remote_code:
        return
    if code := next((name for name in names if _CODE.search(name)), None):
        raise IntakeRefused(
            f"{code} would be run as code",
            f'Delete it and download models without such (hf download REPO --exclude "*.py"), or {TRUST}',
        )
    if unsafe is not None:
        raise IntakeRefused(
            f"{unsafe} is of a format whose loading can run code, and is not needed",
            f'Delete it and download models without such (hf download REPO --exclude "*.bin"), or {TRUST}',
        )


def is_loaded(file: ModelFile, model_type: ModelType) -> bool:
    """Whether it is taken for weights of the model: beside those that mlx-lm takes, adapters may lie."""
    if model_type in _WEIGHTS_BY_NAME:
        return _WEIGHTS.fullmatch(file.name) is not None
    return is_weights(file)


def _wanted(model_type: ModelType) -> str:
    return "model*.safetensors" if model_type in _WEIGHTS_BY_NAME else "*.safetensors"


def is_weights(file: ModelFile) -> bool:
    return file.key.endswith(".safetensors")


def is_index(file: ModelFile) -> bool:
    return file.key.endswith(".safetensors.index.json")


def check_index(file: ModelFile, said: Mapping[str, Json], files: Sequence[ModelFile]) -> None:
    """Raises IntakeRefused where it sends a loader to what is not there, or elsewhere."""
    weight_map = said.get("weight_map")
    if not isinstance(weight_map, dict):
        raise IntakeRefused(f"{file.name} has no weight_map", DOWNLOAD_AGAIN)
    beside = file.name.rpartition("/")[0]
    there = {each.name for each in files}
    for shard in {shard if isinstance(shard, str) else "" for shard in weight_map.values()}:
        if "/" in shard or name_fault(shard) is not None:
            raise IntakeRefused(f"{file.name} names weights outside the model's directory", DOWNLOAD_AGAIN)
        if (f"{beside}/{shard}" if beside else shard) not in there:
            raise IntakeRefused(f"{file.name} names {shard}, which is not there", DOWNLOAD_AGAIN)
