"""A command of hub.yaml as a server: its process, its port, and the requests that are handed on to it."""

import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
from loguru import logger

from mlxhub.clients.child import ask_child, free_port, is_healthy
from mlxhub.clients.connection import Connection, ConnectionLost
from mlxhub.clients.headers import Headers
from mlxhub.core.engine_options import PORT_FIELD
from mlxhub.core.lifecycle import TURN_SECONDS
from mlxhub.errors import MlxhubError, WorkerSilent
from mlxhub.files.tethered import TetheredProgram
from mlxhub.protocol.model_routes import FORMS
from mlxhub.refusals import InvalidRequest
from mlxhub.worker.engines.proxied_requests import ProxiedRequest
from mlxhub.worker.generation import Generation
from mlxhub.worker.model_service import ModelService

_LOOK_SECONDS = 0.1
# A command may name a whole disk.
_MOST_FILES = 2_000
# Before the watchdog takes the load for one that hangs.
_READY_SECONDS = TURN_SECONDS - 60
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])


class ChildServer:
    """Started again and again by the engine; `port` is that of the process that runs now."""

    def __init__(self, command: Sequence[str], health_path: str, on_death: Callable[[str], None]) -> None:
        """`on_death` is called on another thread where it ends unasked after it was ready."""
        self._command = command
        self._health_path = health_path
        self._on_death = on_death
        self._program: TetheredProgram | None = None
        self._is_ready = False
        self._exit_code: int | None = None
        self._given_up = threading.Event()
        self.port = 0

    def start(self) -> Self:
        """Raises OSError."""
        self.port, self._is_ready, self._exit_code = free_port(), False, None
        command = [part.replace(PORT_FIELD, str(self.port)) for part in self._command]
        logger.info("Starting {}", " ".join(command))
        self._program = TetheredProgram(command, lambda line: logger.info("| {}", line), self._ended)
        return self

    @property
    def memory_bytes(self) -> int:
        return 0 if self._program is None else self._program.memory_bytes

    def until_ready(self) -> str | None:
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline:
            if self._exit_code is not None:
                return f"it ended before it answered ({_how(self._exit_code)}). The log says more."
            if is_healthy(self.port, self._health_path):
                self._is_ready = True
                return None
            if self._given_up.wait(_LOOK_SECONDS):
                return "the worker ended before it answered."
        return f"{self._health_path} did not answer 200 within {_READY_SECONDS:g} s."

    def give_up(self) -> None:
        """Nobody waits for it to be ready any longer, now or later. From any thread."""
        self._given_up.set()

    def end(self) -> bool:
        program, self._program = self._program, None
        return program is None or program.end()

    def _ended(self, exit_code: int) -> None:
        self._exit_code = exit_code
        logger.error("The command ended: {}", _how(exit_code))
        if self._is_ready:
            self._on_death(f"its command ended ({_how(exit_code)}).")


def named_bytes(command: Sequence[str]) -> int:
    """Of the files and directories that a command names, so far as they have no more than models do."""
    return sum(_size_of(Path(part)) for part in command[1:] if part.startswith(("/", "~")))


def _how(exit_code: int) -> str:
    """As shells tell it."""
    return f"exit code {exit_code}" if exit_code < 128 else f"signal {exit_code - 128}"


def _size_of(place: Path) -> int:
    place = place.expanduser()
    below = (Path(root, name) for root, _, names in os.walk(place) for name in names)
    files = [place] if place.is_file() else islice(below, _MOST_FILES)
    return sum(map(_length_of, files))


def _length_of(file: Path) -> int:
    with suppress(OSError):
        return file.stat().st_size
    return 0


class ChildLeases:
    """The exchanges with a command: each is a request of the service like any other, and holds the model."""

    def __init__(self, service: ModelService, child: ChildServer, upstream_model: str | None) -> None:
        """`upstream_model`: what the command calls its model; None: it does not care.

        It takes the place of the name in a body that is JSON.
        """
        self._service = service
        self._child = child
        self._upstream_model = upstream_model

    def lease(self, model_id: str, path: str, body: bytes, /) -> "ChildLease":
        """To be entered. Raises UnknownModel."""
        self._service.check_model(model_id)
        if self._upstream_model is not None and path not in FORMS:
            body = _renamed(body, self._upstream_model)
        return ChildLease(self._service, self._child, ProxiedRequest(path, body))


def _renamed(body: bytes, model: str) -> bytes:
    """All but the model's name stays as it was written. Raises InvalidRequest."""
    try:
        fields = _FIELDS.decode(body)
    except msgspec.MsgspecError:
        raise InvalidRequest("The body is not a valid JSON object.") from None
    return msgspec.json.encode({**fields, "model": model})


class ChildLease:
    def __init__(self, service: ModelService, child: ChildServer, request: ProxiedRequest) -> None:
        self.name = service.settings.name
        self._service = service
        self._child = child
        self._request = request
        self._held = AsyncExitStack()
        self._generation: Generation | None = None
        self._connection: Connection | None = None

    @property
    def ended_by(self) -> MlxhubError | None:
        return None if self._generation is None else self._generation.failure

    async def __aenter__(self) -> Self:
        self._generation = await self._held.enter_async_context(self._service.generate([self._request]))
        self._generation.on_failure(self._break_off)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._break_off()
        # An answer that we broke off has failed, though who passed it on could only end it.
        ending = error or self.ended_by
        await self._held.__aexit__(kind or type(ending) if ending else None, ending, traceback)

    async def ask(self, method: str, target: bytes, headers: Headers, _body: bytes) -> Connection:
        """What is sent is the body that the lease is for. Raises WorkerSilent, or what ended the request."""
        try:
            self._connection = await ask_child(self._child.port, method, target, headers, self._request.body)
            if self.ended_by is not None:
                self._break_off()
            await self._connection.head()
        except ConnectionLost:
            silent = WorkerSilent(self.name, "its command ended the connection before an answer came.")
            raise self.ended_by or silent from None
        return self._connection

    def _break_off(self) -> None:
        if self._connection is not None:
            self._connection.abort()
