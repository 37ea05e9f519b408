"""Whether a model's directory may reach a worker: no code runs, and nothing outside it is read."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from mlxhub.core.model_type import ModelType
from mlxhub.registry.chat_templates import MAX_TEMPLATE_BYTES, check_templates, templates_in
from mlxhub.registry.extras import check_libraries
from mlxhub.registry.formats import check_formats, check_index, is_index, is_weights
from mlxhub.registry.model_files import ModelFile, list_files
from mlxhub.registry.model_json import Json, read_json, read_object, read_text
from mlxhub.registry.refused import DOWNLOAD_AGAIN, IntakeRefused
from mlxhub.registry.safetensors_header import check_weights
from mlxhub.registry.settings import check_family, check_numbers, check_settings, is_settings

ADAPTER_WEIGHTS = "adapters.safetensors"
# Of a model, or of a pipeline of several.
CONFIGURATIONS = ("config.json", "model_index.json")
_PIPELINES = (ModelType.IMAGE_GENERATION, ModelType.IMAGE_EDIT)


def check_model(
    directory: Path, model_type: ModelType = ModelType.LM, *, trust_remote_code: bool = False
) -> None:
    """Raises IntakeRefused with the first thing that must not be. Takes 0.2 s, most of it for the templates.

    `trust_remote_code` lets code, pickles and what asks for them through; all else stays forbidden.
    """
    check_libraries(model_type)
    files = list_files(directory)
    names = CONFIGURATIONS if model_type in _PIPELINES else CONFIGURATIONS[:1]
    config = next((name for name in names if any(file.name == name for file in files)), None)
    if config is None:
        raise IntakeRefused(
            f"its directory has no {' or '.join(names)}, so it is no model in MLX format", DOWNLOAD_AGAIN
        )
    check_formats(files, model_type, trust_remote_code=trust_remote_code)
    settings = _check_json(files, trust_remote_code=trust_remote_code)
    for file in files:
        if file.last_name == "config.json" and file.key in settings:
            check_numbers(file, settings[file.key])
    if config == "config.json":
        check_family(settings["config.json"], model_type, trust_remote_code=trust_remote_code)
    for file in files:
        if is_weights(file):
            check_weights(file)
    check_templates(templates_in(files, settings))


def check_adapter(directory: Path) -> None:
    """What mlx-lm reads of a LoRA adapter. Raises IntakeRefused."""
    if not directory.is_dir():
        raise IntakeRefused("there is no such directory", "Correct it in hub.yaml")
    files = {file.name: file for file in list_files(directory)}
    for needed in ("adapter_config.json", ADAPTER_WEIGHTS):
        if needed not in files:
            raise IntakeRefused(f"it has no {needed}", "Make adapters with mlx_lm.lora, or convert them")
    read_object(files["adapter_config.json"])
    check_weights(files[ADAPTER_WEIGHTS])


def read_template(file: Path) -> str:
    """A chat template that stands for the model's own. Raises IntakeRefused."""
    if not file.is_file():
        raise IntakeRefused("there is no such file", "Correct it in hub.yaml")
    text = read_text(ModelFile(file.name, file), MAX_TEMPLATE_BYTES)
    check_templates({file.name: text})
    return text


def _check_json(files: Sequence[ModelFile], *, trust_remote_code: bool) -> dict[str, Mapping[str, Json]]:
    """All of it; gives back the settings, by the key of their file."""
    settings: dict[str, Mapping[str, Json]] = {}
    for file in files:
        if is_settings(file):
            settings[file.key] = read_object(file)
            check_settings(file, settings[file.key], trust_remote_code=trust_remote_code)
        elif is_index(file):
            check_index(file, read_object(file), files)
        elif file.key.endswith(".json"):
            read_json(file)
    return settings
