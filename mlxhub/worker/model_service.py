"""One model, served: whether it must load, and whether it is busy, is answered here."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from mlxhub.core.config import WorkerSettings
from mlxhub.core.lifecycle import CANCEL_SECONDS, DRAIN_SECONDS, ENGINE_STOP_SECONDS, ModelState
from mlxhub.core.model_type import ModelType
from mlxhub.core.paths import RunFiles
from mlxhub.core.restarts import EXIT_TRY_AGAIN
from mlxhub.errors import MlxhubError, ModelBusy, NotLoaded, UnknownModel
from mlxhub.files.footprint import footprint_reader
from mlxhub.protocol.worker import CounterStatus
from mlxhub.refusals import (
    ContextOverflow,
    Draining,
    GenerationFailed,
    InvalidRequest,
    QueueFull,
    RequestTimeout,
)
from mlxhub.worker.engine_thread import EngineThread
from mlxhub.worker.engines.engine import Asked, Delta, Engine, Prepared, PreparedRequest
from mlxhub.worker.footprint import Footprint
from mlxhub.worker.generation import Generation
from mlxhub.worker.in_flight import InFlight
from mlxhub.worker.preparation import Preparation
from mlxhub.worker.quarantine import Quarantine
from mlxhub.worker.residency import Residency, outcome_of
from mlxhub.worker.watchdog import Watchdog

EXIT_BROKEN = 70


class ModelService:
    """Lives on the event loop, inside `running()`. No method awaits between a check and its act."""

    def __init__(
        self,
        settings: WorkerSettings,
        engine: Engine[Any, Any],
        stop_process: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
        files: RunFiles | None = None,
        beside: Callable[[], int] = lambda: 0,
    ) -> None:
        """`files`: what tells of this process when it is gone. `beside`: bytes that its children take."""
        self.settings = settings
        self.draining = False
        self.broken: str | None = None
        self.exit_code = 0
        self._stop_process = stop_process
        self.counters = CounterStatus()
        self._clock = clock
        self.thread = EngineThread(engine, settings.name, self._hand_over, self.on_death)
        self.watchdog = Watchdog(self.thread, clock)
        self._quarantine = Quarantine(files)
        self._beside = beside
        self.footprint = Footprint(self._memory_reader(), self._note_memory, clock)
        self._preparation = Preparation(self.thread)
        self._in_flight = InFlight(self.thread.cancel)
        self.residency = Residency(settings, self.thread, self.footprint, self, clock)
        self._last_used: float | None = None
        self._idle_timer: asyncio.TimerHandle | None = None
        self.stopped_cleanly = True

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The service's life; afterwards the engine thread is over, or `stopped_cleanly` is false."""
        self._loop = asyncio.get_running_loop()
        self.thread.start()
        try:
            async with asyncio.TaskGroup() as tasks:
                self.residency.begin(tasks)
                watching = [
                    tasks.create_task(self.watchdog.watch(self.break_down)),
                    tasks.create_task(self.footprint.watch()),
                ]
                if self.settings.preload:
                    self.residency.begin_load()
                yield
                for watch in watching:
                    watch.cancel()
                self._disarm()
                self.residency.end()
        finally:
            self._preparation.close()
            self._quarantine.close()
            self.stopped_cleanly = await asyncio.to_thread(self.thread.stop, ENGINE_STOP_SECONDS)
            if self.stopped_cleanly:
                self.residency.admission.give_back()

    @property
    def model_type(self) -> ModelType:
        """Decided when the process begins; text where nobody says otherwise."""
        return self.settings.model_type or ModelType.LM

    @property
    def state(self) -> ModelState:
        return self.residency.state

    @property
    def in_flight(self) -> int:
        return self._in_flight.requests

    @property
    def rows(self) -> int:
        return self._in_flight.rows

    @property
    def is_idle(self) -> bool:
        return self.in_flight == 0

    @property
    def idle_seconds(self) -> float | None:
        if not self.is_idle or self._last_used is None:
            return None
        return self._clock() - self._last_used

    @property
    def unload_in_seconds(self) -> float | None:
        return None if self._idle_timer is None else max(0.0, self._idle_timer.when() - self._loop.time())

    @property
    def can_serve(self) -> bool:
        """Whether a request would be taken now, loading first if it must."""
        return not self.draining and (self.state is ModelState.READY or self.settings.jit)

    def check_model(self, model_id: str) -> None:
        if model_id not in self.settings.ids:
            raise UnknownModel(model_id, self.settings.ids)

    @asynccontextmanager
    async def generate(self, requests: Sequence[Asked], answers: int = 1) -> AsyncIterator[Generation]:
        """Rows for each request, `answers` of each, in this order. Entered when the first has its place."""
        async with self._served(requests, answers) as generation:
            with self.thread.coming():
                prepared = [await self._preparation.prepare(generation, request) for request in requests]
            rows = [each for request in prepared for each in _rows_of(request, answers)]
            generation.prepared = rows
            self.counters.prompt_tokens += sum(request.prompt_tokens for request in prepared)
            for handle, row in zip(generation.handles, rows, strict=True):
                self.thread.submit(handle, row)
            await generation.place(self.settings.queue_timeout)
            yield generation

    async def count_tokens(self, request: Asked) -> int:
        """Of its prompt, also where that leaves no room for an answer.

        Raises ContextOverflow where it is so long that not even tokenizing is worth its memory.
        """
        async with self._served([request], 1) as generation:
            try:
                return (await self._preparation.tokenize(generation, request)).prompt_tokens
            except ContextOverflow as overflow:
                if overflow.at_least:
                    raise
                return overflow.prompt_tokens

    async def load(self) -> None:
        """Bring it into memory now, also right after a failure. Raises LoadFailed and LoadRefused."""
        while self.state is not ModelState.READY:
            if self.draining:
                raise Draining
            if self.state is ModelState.UNLOADED:
                self.residency.begin_load()
            transition = self.residency.transition
            await asyncio.wait({transition})
            if error := outcome_of(transition):
                raise error

    async def unload(self, *, if_idle: bool) -> None:
        """Running answers get DRAIN_SECONDS. With `if_idle` raises ModelBusy instead of waiting.

        A load whose turn has not come is given up, one that has begun comes to its end first.
        """
        while self.state is not ModelState.UNLOADED:
            if if_idle and not self.is_idle:
                raise ModelBusy(self.settings.name, self.in_flight)
            if self.state is ModelState.READY:
                self._disarm()
                self.residency.begin_unload("on request")
            self.residency.admission.abandon()
            await asyncio.wait({self.residency.transition})

    def begin_drain(self) -> None:
        self.draining = True
        self._disarm()

    def end_rest(self) -> None:
        """Drain time is over: every request still here ends with an error its client sees."""
        self._in_flight.fail_all(Draining())

    def break_down(self, reason: str) -> None:
        """The engine is beyond repair here: tell every client, and let the process be replaced."""
        self._quarantine.blame()
        self._end_process(reason, EXIT_BROKEN, GenerationFailed(reason))

    def on_death(self, reason: str) -> None:
        """From any other thread: what this process is for has died in it."""
        self._loop.call_soon_threadsafe(self.break_down, reason)

    def make_room(self, reason: str) -> None:
        self._end_process(reason, EXIT_TRY_AGAIN, Draining())

    def loaded(self) -> None:
        self._last_used = self._clock()
        self._arm()

    async def until_free(self) -> None:
        await self._in_flight.until_model_is_free(DRAIN_SECONDS)
        self._in_flight.fail_holders(GenerationFailed("the model was unloaded."))
        await self._in_flight.until_model_is_free(CANCEL_SECONDS)

    def _end_process(self, reason: str, exit_code: int, error: MlxhubError) -> None:
        self.broken, self.exit_code = reason, exit_code
        self.begin_drain()
        self._in_flight.fail_all(error)
        self._stop_process()

    @asynccontextmanager
    async def _served(self, requests: Sequence[Asked], answers: int) -> AsyncIterator[Generation]:
        """Of what was taken together, with the model in memory; counted by how it ends."""
        asked = await self._quarantine.admit(requests)
        generation = self._admit(len(requests) * answers, answers)
        limit = self.settings.request_timeout
        deadline = self._loop.call_later(limit, generation.fail, RequestTimeout(limit))
        try:
            await self._ready(generation)
            async with self._quarantine.serving(generation, asked):
                yield generation
            self.counters.completed += 1
        except MlxhubError:
            self.counters.failed += 1
            raise
        except (asyncio.CancelledError, GeneratorExit):
            self.counters.cancelled += 1
            raise
        finally:
            deadline.cancel()
            self._release(generation)

    @property
    def max_rows(self) -> int:
        """How many may decode together: of the model that is loaded, else what hub.yaml allows."""
        model = self.residency.model
        return self.settings.max_concurrency if model is None else model.max_rows

    def _admit(self, rows: int, answers: int) -> Generation:
        if self.draining:
            raise Draining
        if self.state is ModelState.UNLOADED:
            if not self.settings.jit:
                raise NotLoaded(self.settings.name)
            self.residency.raise_kept_failure()
        limit = self.max_rows + self.settings.queue_size
        if rows > limit:
            raise InvalidRequest(
                f"This asks for {rows} answers at once. This model takes and queues {limit} at most.", "n"
            )
        if self.rows + rows > limit:
            raise QueueFull(max(0, self.rows - self.max_rows))
        self.counters.requests += 1
        self._disarm()
        return self._in_flight.add(rows, answers)

    async def _ready(self, generation: Generation) -> None:
        """Wait until it is in memory; one load serves all who wait."""
        while self.state is not ModelState.READY:
            if self.state is ModelState.UNLOADED:
                if not self.settings.jit:
                    raise NotLoaded(self.settings.name)
                self.residency.raise_kept_failure()
                self.residency.begin_load()
            transition = self.residency.transition
            await generation.until(transition)
            if error := outcome_of(transition):
                raise error
        self._in_flight.hold_model(generation)
        generation.model = self.residency.model

    def _release(self, generation: Generation) -> None:
        self.counters.completion_tokens += generation.completion_tokens
        self.counters.cached_tokens += generation.cached_tokens
        self._in_flight.remove(generation)
        self._preparation.forget(generation)
        self._last_used = self._clock()
        self._arm()

    def _arm(self) -> None:
        """The one idle deadline: counts from the last use, while nothing is in flight."""
        self._disarm()
        minutes = self.settings.auto_unload_minutes
        is_ready = self.state is ModelState.READY and not self.draining
        if minutes is not None and is_ready and self.is_idle:
            self._idle_timer = self._loop.call_later(minutes * 60, self._idle_is_over)

    def _disarm(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None

    def _idle_is_over(self) -> None:
        self._idle_timer = None
        self.residency.begin_unload(f"after {self.settings.auto_unload_minutes:g} min without use")

    def _memory_reader(self) -> Callable[[], int]:
        """On a GPU of its own MLX has memory that the system does not count for this process."""
        footprint = footprint_reader()
        return lambda: max(footprint(), self.thread.measured.active_bytes) + self._beside()

    def _note_memory(self, footprint_bytes: int) -> None:
        self._quarantine.note_memory(footprint_bytes, self.residency.admission.reserved_bytes)

    def _hand_over(self, deltas: list[Delta]) -> None:
        """On the engine thread: one wake-up of the event loop per step."""
        self._loop.call_soon_threadsafe(self._in_flight.deliver, deltas)


def _rows_of(request: Prepared, answers: int) -> list[Prepared]:
    if isinstance(request, PreparedRequest):
        return [request.for_row(row) for row in range(answers)]
    return [request] * answers
