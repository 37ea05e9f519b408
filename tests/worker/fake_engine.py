"""An Engine that does what a test tells it to."""

import threading
import time

from mlxhub.core.memory import MemoryNeed
from mlxhub.errors import LoadFailed, MlxhubError
from mlxhub.worker.engines.engine import (
    Delta,
    EngineLoad,
    Failed,
    Finished,
    FinishReason,
    GenerationRequest,
    LoadedModel,
    Piece,
    PreparedRequest,
    Started,
)


class FakeEngine:
    """Admits `places` rows; each says "x" per step while `may_speak` is set, `max_tokens` times."""

    def __init__(self, places: int = 2) -> None:
        self.may_measure = threading.Event()
        self.may_measure.set()
        self.may_load = threading.Event()
        self.may_load.set()
        self.load_error: str | None = None
        self.loads = 0
        self.weights_bytes = 1_000_000
        self.loaded = False
        self.break_step: Exception | None = None
        self.may_prepare = threading.Event()
        self.may_prepare.set()
        self.may_speak = threading.Event()
        self.may_speak.set()
        self.break_fail_all = False
        self.hang = False
        self.hangs = False
        self.cancelled: list[int] = []
        self.places = places
        self._waiting: dict[int, PreparedRequest] = {}
        self._rows: dict[int, int] = {}

    def measure(self) -> MemoryNeed:
        assert self.may_measure.wait(10)
        return MemoryNeed(self.weights_bytes, row_bytes=0, rows=1, context_tokens=100, kept_bytes=0)

    def load(self, reserved_bytes: int = 0) -> LoadedModel:
        self.loads += 1
        assert self.may_load.wait(10)
        if self.load_error is not None:
            raise LoadFailed("m", self.load_error)
        self.loaded = True
        return LoadedModel(100, self.places)

    def unload(self) -> None:
        self.loaded = False
        self._waiting.clear()
        self._rows.clear()

    def prepare(self, request: GenerationRequest) -> PreparedRequest:
        assert self.may_prepare.wait(10)
        return PreparedRequest((1, 2, 3), request.max_tokens or 1000, request.sampling)

    def compile(self, request: PreparedRequest) -> PreparedRequest:
        return request

    def submit(self, handle: int, request: PreparedRequest) -> None:
        assert self.loaded
        self._waiting[handle] = request

    def cancel(self, handle: int) -> None:
        self.cancelled.append(handle)
        self._waiting.pop(handle, None)
        self._rows.pop(handle, None)

    def step(self) -> list[Delta]:
        while self.hang:
            self.hangs = True
            time.sleep(0.001)
        if error := self.break_step:
            self.break_step = None
            raise error
        deltas: list[Delta] = []
        while self._waiting and len(self._rows) < self.places:
            handle = next(iter(self._waiting))
            self._rows[handle] = self._waiting.pop(handle).max_tokens
            deltas.append(Started(handle))
        if self.may_speak.wait(0.001):
            deltas += [self._speak(handle) for handle in list(self._rows)]
        return deltas

    def fail_all(self, error: MlxhubError) -> list[Delta]:
        if self.break_fail_all:
            raise RuntimeError("nothing works")
        failed: list[Delta] = [Failed(handle, error) for handle in self._rows]
        self._rows.clear()
        return failed

    @property
    def has_work(self) -> bool:
        return bool(self._waiting or self._rows)

    @property
    def measured(self) -> EngineLoad:
        return EngineLoad(rows=len(self._rows))

    def _speak(self, handle: int) -> Delta:
        self._rows[handle] -= 1
        if self._rows[handle] > 0:
            return Piece(handle, "x")
        del self._rows[handle]
        return Finished(handle, "x", FinishReason.LENGTH, 0)
