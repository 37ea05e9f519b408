"""The engine of models that another program serves: to load is to start it, to unload to end it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from mlxhub.core.memory import PROCESS_BYTES, MemoryNeed
from mlxhub.errors import LoadFailed, MlxhubError
from mlxhub.worker.engines.engine import Delta, EngineLoad, LoadedModel
from mlxhub.worker.engines.places import Places, started
from mlxhub.worker.engines.proxied_requests import ProxiedRequest


class ServerProgram(Protocol):
    """A program that serves, on a port of its own."""

    def until_ready(self) -> str | None:
        """None once it answers; else why it never will. Blocks, with a limit."""

    def end(self) -> bool:
        """Whether it is gone. Blocks, with a limit."""


@dataclass(frozen=True, slots=True)
class CommandEngineOptions:
    """`start` raises OSError. `weights_bytes`: of the files it names."""

    name: str
    start: Callable[[], ServerProgram]
    max_concurrency: int
    weights_bytes: Callable[[], int]
    context_length: int | None = None


class CommandEngine:
    """An Engine of ProxiedRequest. A row is the right to one exchange: it is held until it is cancelled."""

    def __init__(self, options: CommandEngineOptions) -> None:
        self._options = options
        self._places: Places[ProxiedRequest] = Places(options.max_concurrency)
        self._program: ServerProgram | None = None

    def measure(self) -> MemoryNeed:
        return MemoryNeed(PROCESS_BYTES + self._options.weights_bytes(), 0, 0, 0, 0)

    def load(self, reserved_bytes: int = 0) -> LoadedModel:
        del reserved_bytes  # what that program takes, it decides
        options = self._options
        try:
            self._program = program = options.start()
        except OSError as error:
            raise LoadFailed(options.name, f"command: it cannot be started ({error.strerror}).") from error
        if fault := program.until_ready():
            raise LoadFailed(options.name, f"command: {fault}")
        return LoadedModel(options.context_length, options.max_concurrency)

    def unload(self) -> None:
        """Raises RuntimeError where it does not end."""
        self._places.clear()
        program, self._program = self._program, None
        if program is not None and not program.end():
            raise RuntimeError("the command did not end after SIGKILL")

    def prepare(self, request: ProxiedRequest) -> ProxiedRequest:
        return request

    def compile(self, request: ProxiedRequest) -> ProxiedRequest:
        return request

    def submit(self, handle: int, request: ProxiedRequest) -> None:
        self._places.submit(handle, request)

    def cancel(self, handle: int) -> None:
        self._places.leave(handle)

    def step(self) -> list[Delta]:
        return started(self._places.admit())

    def fail_all(self, error: MlxhubError) -> list[Delta]:
        return self._places.fail(error)

    @property
    def has_work(self) -> bool:
        return self._places.has_waiting

    @property
    def measured(self) -> EngineLoad:
        return EngineLoad(len(self._places), self._places.peak)
