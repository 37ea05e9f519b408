"""Whether a model's directory may reach a worker: no code runs, and nothing outside it is read."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from mlxhub.registry.chat_templates import MAX_TEMPLATE_BYTES, check_templates, templates_in
from mlxhub.registry.formats import check_formats, check_index, is_index, is_weights
from mlxhub.registry.model_files import ModelFile, list_files
from mlxhub.registry.model_json import Json, read_json, read_object, read_text
from mlxhub.registry.refused import DOWNLOAD_AGAIN, IntakeRefused
from mlxhub.registry.safetensors_header import check_weights
from mlxhub.registry.settings import check_config, check_settings, is_settings

ADAPTER_WEIGHTS = "adapters.safetensors"


def check_model(directory: Path, *, trust_remote_code: bool = False) -> None:
    """Raises IntakeRefused with the first thing that must not be. Takes 0.2 s, most of it for the templates.

    `trust_remote_code` lets code, pickles and what asks for them through; all else stays forbidden.
    """
    files = list_files(directory)
    if not any(file.name == "config.json" for file in files):
        raise IntakeRefused(
            "its directory has no config.json, so it is no model in MLX format", DOWNLOAD_AGAIN
        )
    check_formats(files, trust_remote_code=trust_remote_code)
    settings = _check_json(files, trust_remote_code=trust_remote_code)
    check_config(settings["config.json"], trust_remote_code=trust_remote_code)
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
