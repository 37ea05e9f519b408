"""What kinds of models need beyond what mlxhub always brings, and whether it is installed."""

from importlib.util import find_spec

from mlxhub.core.model_type import ModelType
from mlxhub.registry.refused import IntakeRefused

_NEEDED = {
    ModelType.MULTIMODAL: ("mlx_vlm", "PIL"),
    ModelType.EMBEDDINGS: ("mlx_vlm",),
    ModelType.WHISPER: ("mlx_audio", "av", "greenlet"),
    ModelType.IMAGE_GENERATION: ("mlx_vlm", "PIL", "greenlet"),
    ModelType.IMAGE_EDIT: ("mlx_vlm", "PIL", "greenlet"),
}


HOW_TO_GET_THEM = (
    "Get them with: scripts/install --vision, or pip install 'mlxhub[vision]' where pip installed mlxhub"
)


def has_libraries(model_type: ModelType) -> bool:
    """Imports none of them."""
    return all(find_spec(package) for package in _NEEDED.get(model_type, ()))


def check_libraries(model_type: ModelType) -> None:
    """Raises IntakeRefused."""
    if not has_libraries(model_type):
        raise IntakeRefused(
            f"models of type {model_type} need libraries that are not installed",
            HOW_TO_GET_THEM,
        )
