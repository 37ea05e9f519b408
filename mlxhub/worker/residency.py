"""Whether the model is in memory, and its way in and out: one load or unload at a time, on the event loop."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias

from loguru import logger

from mlxhub.core.config import WorkerSettings
from mlxhub.core.lifecycle import ModelState
from mlxhub.errors import LoadFailed, LoadRefused, MlxhubError, size_text
from mlxhub.refusals import Draining
from mlxhub.worker.admission import Admission
from mlxhub.worker.engine_thread import EngineThread
from mlxhub.worker.engines.engine import LoadedModel
from mlxhub.worker.footprint import Footprint
from mlxhub.worker.load_backoff import LoadBackoff

# Why a load did not come about; None: it did, or was an unload.
NoLoad: TypeAlias = LoadFailed | LoadRefused | None


class Resident(Protocol):
    """Whose model it is."""

    def loaded(self) -> None: ...

    def until_free(self) -> Awaitable[None]:
        """Until nobody uses the model any more; nobody new does, since it is not READY."""

    def break_down(self, reason: str) -> None: ...

    def make_room(self, reason: str) -> None:
        """The process has to go, for its memory does not come back otherwise."""


class Residency:
    def __init__(
        self,
        settings: WorkerSettings,
        thread: EngineThread,
        footprint: Footprint,
        resident: Resident,
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._thread = thread
        self._footprint = footprint
        self._resident = resident
        self._clock = clock
        self._backoff = LoadBackoff(clock)
        self._refusal: str | None = None
        self._transition: asyncio.Task[NoLoad] | None = None
        self.admission = Admission(settings.name, settings.limits, clock)
        self.state = ModelState.UNLOADED
        self.error: str | None = None
        self.model: LoadedModel | None = None
        self.load_seconds: float | None = None

    def begin(self, tasks: asyncio.TaskGroup) -> None:
        """Its loads and unloads are tasks of this group from now on."""
        self._tasks = tasks

    def end(self) -> None:
        """Give up what is under way."""
        if self._transition is not None:
            self._transition.cancel()

    @property
    def retry_in_seconds(self) -> float:
        """After a load that failed: until a request may begin another."""
        return 0.0 if self.error is None else self._backoff.seconds_left

    def raise_kept_failure(self) -> None:
        if self.error is not None and self.retry_in_seconds > 0:
            raise LoadFailed(self._settings.name, self.error)

    @property
    def transition(self) -> "asyncio.Task[NoLoad]":
        """The load or unload that is under way, or was last: `outcome_of` it."""
        assert self._transition is not None
        return self._transition

    def begin_load(self) -> None:
        self.state = ModelState.LOADING
        self._transition = self._tasks.create_task(self._load())

    def begin_unload(self, why: str) -> None:
        self.state = ModelState.UNLOADING
        self._transition = self._tasks.create_task(self._unload(why))

    async def _load(self) -> NoLoad:
        name = self._settings.name
        try:
            await self.admission.take_seat()
            need = await asyncio.wrap_future(self._thread.measure())
            async with self.admission.turn(need):
                began = self._clock()
                self._footprint.begin_load()
                logger.info('Loading model "{}" from {}', name, self._settings.model_path)
                self.model = await asyncio.wrap_future(self._thread.load(self.admission.reserved_bytes))
        except LoadRefused as refused:
            return self._load_is_refused(refused)
        except Exception as error:  # noqa: BLE001 - the top of a background task, which must leave a state behind
            return self._load_has_failed(error)
        self.state = ModelState.READY
        self.error = self._refusal = None
        self._backoff.succeeded()
        self.load_seconds = self._clock() - began
        logger.info('Loaded model "{}" in {:.1f} s', name, self.load_seconds)
        self._resident.loaded()
        return None

    def _load_is_refused(self, refused: LoadRefused) -> LoadRefused:
        """Nothing is wrong with the model: the next request may find a place."""
        self.admission.give_back()
        self.state = ModelState.UNLOADED
        if str(refused) != self._refusal:
            # Clients ask again and again.
            self._refusal = str(refused)
            logger.warning("{}", refused)
        return refused

    def _load_has_failed(self, error: Exception) -> LoadFailed:
        reason = (
            error.reason if isinstance(error, LoadFailed) else f"{type(error).__name__}. The log says more."
        )
        self.admission.give_back()
        self.state = ModelState.UNLOADED
        self.error = reason
        self._backoff.failed()
        logger.opt(exception=None if isinstance(error, LoadFailed) else error).error("{}", error)
        return LoadFailed(self._settings.name, reason)

    async def _unload(self, why: str) -> None:
        await self._resident.until_free()
        self.model = None
        self.load_seconds = None
        self._footprint.now()
        try:
            await asyncio.wrap_future(self._thread.unload())
            left = await self._footprint.left_behind()
        except Exception as error:  # noqa: BLE001 - the top of a background task: memory is in an unknown state
            logger.exception("Unloading failed")
            self._resident.break_down(f"unloading failed with {type(error).__name__}.")
        else:
            if left:
                # Its place is free when the process is gone, and its memory with it.
                self._resident.make_room(
                    f"{size_text(left)} of memory did not come back when the model was unloaded."
                )
            else:
                self.admission.give_back()
        self.state = ModelState.UNLOADED
        logger.info('Unloaded model "{}" {}', self._settings.name, why)


def outcome_of(transition: "asyncio.Task[NoLoad]") -> MlxhubError | None:
    """Cancelled with the service itself: whoever waited is told that it goes."""
    return Draining() if transition.cancelled() else transition.result()
