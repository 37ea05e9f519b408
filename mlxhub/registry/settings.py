"""What a model's JSON files may say: names that loaders import or open, and numbers that they believe."""

import math
import re
from collections.abc import Iterator, Mapping

from mlxhub.core.model_type import ModelType
from mlxhub.registry import architectures
from mlxhub.registry.model_files import ModelFile, name_fault
from mlxhub.registry.model_json import Json, members
from mlxhub.registry.refused import DOWNLOAD_AGAIN, TRUST, IntakeRefused

_CODE_KEYS = ("auto_map", "model_file")
_MORE_SETTINGS = ("special_tokens_map.json", "chat_template.json")
# A list of what sentence-transformers trained a model with, which nothing reads.
_NO_SETTINGS = ("data_config.json",)
# mlx-lm imports modules of these names.
_MODULE_KEYS = ("model_type", "chat_template_type", "tool_parser_type")
_MODULE_NAME = re.compile(r"[A-Za-z0-9_.-]+")
# transformers opens the file of these that fits its version, wherever the name leads.
_FILE_LIST_KEYS = ("configuration_files", "fast_tokenizer_files")
# Mamba's own default.
_MAY_BE_INFINITE = "time_step_limit"
_TAGGED_FLOATS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_LARGEST_INTEGER = 2**63 - 1
# Far above what any model has, far below what exhausts a machine.
_LARGEST = (
    (re.compile(r"(layers?|blocks?|stages?|depths?)$"), 10_000),
    (re.compile(r"(experts?|heads?|groups?|per_tok(en)?)$"), 2**17),
    (re.compile(r"(size|dims?|rank|width|channels|d_model|d_ff|n_embd|n_inner|hidden)$"), 2**22),
    (re.compile(r"(position_embeddings|positions?|n_ctx|seq_len(gth)?|sequence_length|window)$"), 2**31),
)


def is_settings(file: ModelFile) -> bool:
    """Other JSON has words of the vocabulary or names of tensors for keys."""
    name = file.last_name
    if name in _NO_SETTINGS:
        return False
    return name.endswith(".json") and ("config" in name or name in _MORE_SETTINGS)


def check_settings(file: ModelFile, said: Mapping[str, Json], *, trust_remote_code: bool) -> None:
    """Raises IntakeRefused."""
    for key, value in members(dict(said)):
        if key in _CODE_KEYS and value is not None and not trust_remote_code:
            raise IntakeRefused(
                f'{file.name} asks for code of its own to be run ("{key}")',
                f"Remove that key, use a model that needs no code of its own, or {TRUST}",
            )
        if key in _MODULE_KEYS and value not in (None, "") and not _is_module_name(value):
            raise IntakeRefused(f'{file.name}: "{key}" is not a plain name', DOWNLOAD_AGAIN)
        if key in _FILE_LIST_KEYS and not _is_plain_file(value):
            raise IntakeRefused(
                f'{file.name}: "{key}" names files outside the model\'s directory', DOWNLOAD_AGAIN
            )


def check_numbers(file: ModelFile, said: Mapping[str, Json]) -> None:
    """Of a config.json, of which models are made. Raises IntakeRefused."""
    for key, number in _numbers(dict(said)):
        _check_number(file.name, key, number)


def check_family(said: Mapping[str, Json], model_type: ModelType, *, trust_remote_code: bool) -> None:
    """That the library which serves models of this type can build what config.json says.

    Raises IntakeRefused.
    """
    if trust_remote_code and said.get("model_file") is not None:
        return
    family = said.get("model_type")
    if not isinstance(family, str) or not family:
        if model_type not in (ModelType.LM, ModelType.MULTIMODAL, ModelType.EMBEDDINGS):
            return
        raise IntakeRefused("config.json does not say its model_type", DOWNLOAD_AGAIN)
    if (library := architectures.unknowing_library(family, model_type)) is not None:
        raise IntakeRefused(
            f'config.json says model_type "{family}", which the installed {library} does not know',
            "Use another model, or update mlxhub",
        )


def _is_module_name(value: Json) -> bool:
    return isinstance(value, str) and len(value) <= 100 and _MODULE_NAME.fullmatch(value) is not None


def _is_plain_file(value: Json) -> bool:
    """Also called with the list itself, of which each member follows."""
    return isinstance(value, list) or (
        isinstance(value, str) and "/" not in value and name_fault(value) is None
    )


def _numbers(said: Json) -> Iterator[tuple[str, int | float]]:
    for key, value in members(said):
        match value:
            case bool():
                pass
            case int() | float():
                yield key, value
            # So transformers writes what JSON has no number for, and mlx-lm reads it.
            case {"__float__": str(tag), **rest} if not rest and tag in _TAGGED_FLOATS:
                yield key, _TAGGED_FLOATS[tag]


def _check_number(name: str, key: str, number: float) -> None:
    shown = ascii(key)[:60]
    if not isinstance(number, int) and not math.isfinite(number):
        if key == _MAY_BE_INFINITE and number > 0:
            return
        raise IntakeRefused(f"{name}: {shown} is not a finite number", DOWNLOAD_AGAIN)
    largest = next((bound for names, bound in _LARGEST if names.search(key)), None)
    if largest is None and isinstance(number, int):
        largest = _LARGEST_INTEGER
    if largest is not None and abs(number) > largest:
        raise IntakeRefused(f"{name}: {shown} is over {largest}, more than any model has", DOWNLOAD_AGAIN)
