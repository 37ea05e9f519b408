"""The families of models that the installed libraries can build, without importing these."""

import ast
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from mlxhub.core.model_type import ModelType

_REMAPPINGS = re.compile(r"^\w*MODEL_REMAPPING = (\{.*?\})$", re.MULTILINE | re.DOTALL)
_MLX_LM = ("mlx_lm", ("utils.py",))
_MLX_VLM = ("mlx_vlm", ("utils.py", "embedding_loader.py", "reranker_loader.py"))
# Who serves models of a type, and where it says by which module it builds a family that has none of its own.
# Of the other types only the library itself can tell.
_LIBRARIES = {
    ModelType.LM: _MLX_LM,
    ModelType.MULTIMODAL: _MLX_VLM,
    ModelType.EMBEDDINGS: _MLX_VLM,
}


def unknowing_library(family: str, model_type: ModelType) -> str | None:
    """The library that would have to know this family and does not; None also where nobody can tell."""
    if model_type not in _LIBRARIES:
        return None
    library, files = _LIBRARIES[model_type]
    package = _package(library)
    if package is None:
        return None
    remappings = [read_remapping((package / file).read_text()) for file in files]
    if None in remappings:
        return None
    modules = {family, *(remapping[family] for remapping in remappings if remapping and family in remapping)}
    # A Mac's disk would find klear.py where Klear.py lies; an import would not.
    there = {place.stem for place in (package / "models").iterdir()}
    return None if modules & there else library.replace("_", "-")


def can_hear(family: str) -> bool:
    return _is_of_audio("stt", family)


def can_speak(family: str) -> bool:
    return _is_of_audio("tts", family)


def _is_of_audio(category: str, family: str) -> bool:
    """mlx-audio keeps its modules by what they do."""
    package = _package("mlx_audio")
    if package is None:
        return False
    remapping = read_remapping((package / category / "utils.py").read_text()) or {}
    module = remapping.get(family, family).lower().replace("-", "_")
    return module in {place.stem for place in (package / category / "models").iterdir()}


def read_remapping(source: str) -> Mapping[str, str] | None:
    """Which module builds a family that has none of its own, as a file of a library says."""
    found = _REMAPPINGS.search(source)
    try:
        value: object = ast.literal_eval(found[1]) if found is not None else None
    except (ValueError, SyntaxError):
        return None
    if not isinstance(value, dict):
        return None
    return {str(kind): str(module) for kind, module in value.items()}


def _package(library: str) -> Path | None:
    spec = find_spec(library)
    locations = None if spec is None else spec.submodule_search_locations
    return next((Path(place) for place in locations or ()), None)
