"""A model that draws, in memory, by mlx-vlm; on the engine thread."""

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlx.core as mx
from mlx_vlm.generate.edit_image import ImageEditRequest, _image_edit_model_class_for_type
from mlx_vlm.generate.image import (
    ImageGenerationRequest,
    _image_model_class_for_type,
    _local_image_model_types,
)

from mlxhub.core.model_type import ModelType
from mlxhub.errors import LoadFailed
from mlxhub.worker.engines.image_requests import DrawingRequest, PreparedDrawing
from mlxhub.worker.media.pictures import plain_png

# The smallest that all families draw, in the fewest steps: what they load lazily is there after it.
_WARM_SIDE = 64
_WARM_STEPS = 2
_KEEP_ALL = {"evict_text_encoder": False}


class Drawer:
    """`steps`: of a picture for which nobody says how many."""

    def __init__(self, model: Any, *, edits: bool) -> None:
        self._model = model
        self._edits = edits
        self.steps = int(model.default_sampling.steps)
        self._on_step: Callable[[], None] = lambda: None
        self._warm_up()
        self._watch_steps()

    def draw(
        self, asked: PreparedDrawing, on_step: Callable[[], None]
    ) -> Iterator[tuple[bytes, int, int, int]]:
        """PNG, width, height and seed of each. Raises ValueError for what the model does not do."""
        self._on_step = on_step
        try:
            for index in range(asked.request.count):
                result = self._draw(asked, asked.request.seed + index)
                yield result.to_png_bytes(), result.width, result.height, result.seed
        finally:
            self._on_step = lambda: None

    def _draw(self, asked: PreparedDrawing, seed: int) -> Any:
        """An ImageGenerationResult."""
        request = asked.request
        said = {"negative_prompt": request.negative_prompt, "strength": request.strength}
        extra = {key: value for key, value in said.items() if value is not None}
        if not self._edits:
            return self._model.generate(
                ImageGenerationRequest(
                    prompt=request.prompt,
                    seed=seed,
                    steps=request.steps,
                    width=request.width or 1024,
                    height=request.height or 1024,
                    guidance=request.guidance,
                    extra=extra,
                )
            )
        assert asked.source is not None
        # The library takes pictures by their files alone.
        with TemporaryDirectory(prefix="mlxhub-") as directory:
            source = Path(directory) / "source.png"
            source.write_bytes(asked.source)
            return self._model.edit(
                ImageEditRequest(
                    prompt=request.prompt,
                    image_paths=(source,),
                    seed=seed,
                    steps=request.steps,
                    width=request.width,
                    height=request.height,
                    guidance=request.guidance,
                    extra=extra,
                )
            )

    def _warm_up(self) -> None:
        asked = DrawingRequest("warm", seed=0, width=_WARM_SIDE, height=_WARM_SIDE, steps=_WARM_STEPS)
        self._draw(PreparedDrawing(asked, plain_png(_WARM_SIDE) if self._edits else None), 0)
        mx.clear_cache()

    def _watch_steps(self) -> None:
        """In most families it is the same that is called at each step; of others only the end is told."""
        pipeline = getattr(self._model, "pipeline", None)
        transformer = getattr(pipeline, "transformer", None)
        if transformer is not None:
            self._model.pipeline.transformer = _Watched(
                transformer,
                lambda: self._on_step(),  # noqa: PLW0108 - another one at each request
            )


class _Watched:
    """A module of which it is told when it is called."""

    def __init__(self, module: Any, on_call: Callable[[], None]) -> None:
        self._module = module
        self._on_call = on_call

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self._on_call()
        return self._module(*arguments, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def load_drawer(name: str, directory: Path, model_type: ModelType) -> Drawer:
    """Raises LoadFailed, and whatever mlx-vlm raises on bad files."""
    edits = model_type is ModelType.IMAGE_EDIT
    find = _image_edit_model_class_for_type if edits else _image_model_class_for_type
    # The library itself goes by the directory's name first, which may be anybody's.
    found = (find(family) for family in _local_image_model_types(str(directory)))
    model_class = next((each for each in found if each is not None), None)
    if model_class is None:
        raise LoadFailed(name, f"mlx-vlm knows no family of type {model_type} that has files like these.")
    try:
        model = model_class.from_model_id(str(directory), model_path=directory, **_KEEP_ALL)
    except TypeError:
        # Not every family knows that option.
        model = model_class.from_model_id(str(directory), model_path=directory)
    return Drawer(model, edits=edits)
