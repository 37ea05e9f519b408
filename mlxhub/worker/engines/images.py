"""The engine of models that draw: one request at a time, one denoising step in each of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from loguru import logger

from mlxhub.core.memory import MemoryNeed
from mlxhub.errors import MlxhubError, NotLoaded
from mlxhub.files.imports import collector_at_rest
from mlxhub.refusals import InvalidRequest
from mlxhub.worker.engines.device_memory import DeviceMemory
from mlxhub.worker.engines.engine import Delta, EngineLoad, LoadedModel
from mlxhub.worker.engines.image_requests import Drawing, DrawingRequest, Drawn, PreparedDrawing
from mlxhub.worker.engines.model_source import ModelSource
from mlxhub.worker.engines.one_at_a_time import OneAtATime
from mlxhub.worker.engines.open_files import kept_open_files

if TYPE_CHECKING:
    from mlxhub.worker.engines.drawing import Drawer

_WHY_ONE = "what is drawn takes the whole model"
# To decode a large picture from what was denoised is one piece.
_STEP_SECONDS = 600.0


class ImageEngine:
    """An Engine of DrawingRequest."""

    def __init__(self, source: ModelSource) -> None:
        self._source = source
        self._memory = DeviceMemory()
        self._drawer: Drawer | None = None
        self._work: OneAtATime[PreparedDrawing] = OneAtATime(self._carry_out)
        self._directory: Path | None = None
        self._done = self._total = 0

    def measure(self) -> MemoryNeed:
        self._directory = self._source.find()
        return self._source.measure(self._directory)

    def load(self, reserved_bytes: int = 0) -> LoadedModel:
        directory, self._directory = self._directory or self._source.find(), None
        self._memory.limit(reserved_bytes)
        with kept_open_files(), collector_at_rest():
            from mlxhub.worker.engines.drawing import load_drawer  # noqa: PLC0415 - only who loads pays for it

        self._drawer = load_drawer(self._source.name, directory, self._source.model_type)
        return LoadedModel(None, 1, why_one_at_a_time=_WHY_ONE, longest_step_seconds=_STEP_SECONDS)

    def unload(self) -> None:
        self._work.clear()
        self._drawer = None
        self._memory.release()

    def prepare(self, request: DrawingRequest) -> PreparedDrawing:
        if self._drawer is None:
            raise NotLoaded(self._source.name)
        if request.source is None:
            return PreparedDrawing(request)
        from mlxhub.worker.media.pictures import decode_picture, png_of  # noqa: PLC0415 - of an extra

        return PreparedDrawing(request, png_of(decode_picture(request.source, "image", "image").image))

    def compile(self, request: PreparedDrawing) -> PreparedDrawing:
        return request

    def submit(self, handle: int, request: PreparedDrawing) -> None:
        self._work.submit(handle, request)

    def cancel(self, handle: int) -> None:
        self._work.cancel(handle)

    def step(self) -> list[Delta]:
        return self._work.step()

    def fail_all(self, error: MlxhubError) -> list[Delta]:
        return self._work.fail_all(error)

    @property
    def has_work(self) -> bool:
        return self._work.has_work

    @property
    def measured(self) -> EngineLoad:
        load = self._memory.measured(self._work.taken, self._work.peak)
        if not self._work.is_busy:
            return load
        return replace(load, done_steps=self._done, total_steps=self._total)

    def _carry_out(
        self, handle: int, asked: PreparedDrawing, say: Callable[[Delta], None], pause: Callable[[], None]
    ) -> None:
        """Raises InvalidRequest."""
        assert self._drawer is not None
        steps = asked.request.steps or self._drawer.steps
        self._total = steps * asked.request.count
        index = step = 0

        def on_step() -> None:
            nonlocal step
            say(Drawing(handle, index, min(step, steps), steps))
            self._done = min(index * steps + step, self._total)
            step += 1
            pause()

        try:
            for index, (png, width, height, seed) in enumerate(self._drawer.draw(asked, on_step)):
                say(Drawn(handle, index, png, width, height, seed))
                step = 0
                pause()
        except ValueError as error:
            # Of what families do not take, only they know: sizes, steps, guidance.
            logger.info("A request does not fit this model: {}", error)
            said = str(error)[:200]
            # A path is no client's affair.
            reason = "The log says more" if "/" in said else said
            raise InvalidRequest(f"This model does not do that: {reason}.") from error
