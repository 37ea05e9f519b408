"""The one thread that does all MLX work: commands come in by a queue, deltas go out once per step."""

import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

from loguru import logger

from mlxhub.core.memory import MemoryNeed
from mlxhub.errors import LoadFailed
from mlxhub.refusals import GenerationFailed
from mlxhub.worker.engines.engine import (
    Asked,
    Delta,
    Engine,
    EngineLoad,
    LoadedModel,
    Prepared,
)

T = TypeVar("T")

# Prompts that are read together take one step where one after the other takes several.
PATIENCE_SECONDS = 0.01


class EngineThread:
    """Every method may be called from any thread; the callbacks are called on the engine thread.

    Who chose the engine lets nothing through to it but what it takes.
    """

    def __init__(
        self,
        engine: Engine[Any, Any],
        name: str,
        hand_over: Callable[[list[Delta]], None],
        on_death: Callable[[str], None],
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._engine = engine
        self._name = name
        self._hand_over = hand_over
        self._on_death = on_death
        self._patience_seconds = patience_seconds
        self._commands: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._stopping = False
        self._coming = 0
        self._patient_until = 0.0
        self._begun = 0
        self._working_at: int | None = None
        self._loading = False
        self.measured = EngineLoad()
        # Of the model that is loaded, or was last.
        self.longest_step_seconds = 0.0
        # Not a daemon: a thread that owns the GPU must never be cut off at interpreter exit.
        self._thread = threading.Thread(target=self._run, name="engine")

    def start(self) -> None:
        self._thread.start()

    def measure(self) -> "Future[MemoryNeed]":
        """Fails with LoadFailed."""
        return self._call(lambda: self._towards_load(self._engine.measure))

    def load(self, reserved_bytes: int = 0) -> "Future[LoadedModel]":
        """As of Engine. Fails with LoadFailed."""
        return self._call(lambda: self._towards_load(lambda: self._load(reserved_bytes)))

    def unload(self) -> "Future[None]":
        return self._call(self._engine.unload)

    def prepare(self, request: Asked) -> Prepared:
        """Runs in the caller's thread, which must not be the event loop's."""
        prepared: Prepared = self._engine.prepare(request)
        return prepared

    def compile(self, request: Prepared) -> Prepared:
        """As `prepare`."""
        compiled: Prepared = self._engine.compile(request)
        return compiled

    @contextmanager
    def coming(self) -> Iterator[None]:
        """A request is submitted at its end: whoever comes to an idle engine waits a moment for it.

        On the event loop only.
        """
        self._coming += 1
        try:
            yield
        finally:
            self._coming -= 1

    def submit(self, handle: int, request: Prepared) -> None:
        self._commands.put(lambda: self._engine.submit(handle, request))

    def cancel(self, handle: int) -> None:
        self._commands.put(lambda: self._engine.cancel(handle))

    def stop(self, seconds: float) -> bool:
        """Unload and end; whether the thread was over in time."""
        if self._thread.ident is None:
            return True
        self._commands.put(self._stop)
        self._thread.join(seconds)
        return not self._thread.is_alive()

    @property
    def working_at(self) -> int | None:
        """The number of the command or step that it is at; None: it is at none."""
        return self._working_at

    @property
    def is_loading(self) -> bool:
        """A load may take its time."""
        return self._loading

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def stack(self) -> str:
        """Where it is now, as evidence."""
        frame = sys._current_frames().get(self._thread.ident or 0)  # noqa: SLF001 - there is no public way
        return "".join(traceback.format_stack(frame)) if frame else "not running"

    def _call(self, function: Callable[[], T]) -> "Future[T]":
        future: Future[T] = Future()

        def command() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = function()
            except Exception as error:  # noqa: BLE001 - the caller gets it through the future
                future.set_exception(error)
            else:
                future.set_result(result)

        self._commands.put(command)
        return future

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._work()
        except Exception as error:  # noqa: BLE001 - the top of this thread: the worker must not live on without
            logger.exception("The engine thread died")
            self._on_death(f"the engine thread died of {type(error).__name__}.")

    def _work(self) -> None:
        """One command or one step. What a step breaks costs its batch, not the thread."""
        self._working_at = None
        command = self._next_command()
        self._begun += 1
        self._working_at = self._begun
        try:
            deltas = self._engine.step() if command is None else _run_command(command)
        except Exception:  # noqa: BLE001 - MLX and models raise anything
            logger.exception("The engine failed")
            deltas = self._engine.fail_all(GenerationFailed("the engine broke. The worker's log says more."))
        self.measured = self._engine.measured
        if deltas:
            self._hand_over(deltas)

    def _next_command(self) -> Callable[[], None] | None:
        """None: there is none and a step is due. Blocks while there is nothing at all to do."""
        if not self._engine.has_work:
            command = self._commands.get()
            self._patient_until = time.monotonic() + self._patience_seconds
            return command
        patience = self._patient_until - time.monotonic() if self._coming else 0.0
        try:
            return self._commands.get(timeout=max(0.0, patience))
        except queue.Empty:
            return None

    def _load(self, reserved_bytes: int) -> LoadedModel:
        loaded = self._engine.load(reserved_bytes)
        self.longest_step_seconds = loaded.longest_step_seconds
        return loaded

    def _towards_load(self, step: Callable[[], T]) -> T:
        self._loading = True
        try:
            try:
                return step()
            except LoadFailed as failed:
                reason = failed.reason
            except Exception as error:  # noqa: BLE001 - whatever a loader raises
                logger.exception("Loading failed")
                # Its text may tell paths, and clients are told this.
                reason = f"the loader broke ({type(error).__name__}). The log says more."
            # An error holds on to the weights by its traceback. It is gone here, and they can go too.
            self._engine.unload()
        finally:
            self._loading = False
        raise LoadFailed(self._name, reason)

    def _stop(self) -> None:
        self._stopping = True
        self._engine.unload()


def _run_command(command: Callable[[], None]) -> list[Delta]:
    command()
    return []
