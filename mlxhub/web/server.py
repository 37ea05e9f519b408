"""One ASGI app on sockets that are bound beforehand, until it is asked to stop; then drain and return."""

import asyncio
import contextlib
import errno
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine, Iterator, MutableMapping
from functools import partial
from typing import Any, TypeAlias, TypeVar

import uvicorn
import uvloop
from loguru import logger

from mlxhub.core.lifecycle import CANCEL_SECONDS, DRAIN_SECONDS
from mlxhub.errors import PortHeld
from mlxhub.files.ports import port_holder
from mlxhub.web.protocol import LIMITS, BoundedProtocol, Limits, OwnerProtocol

BACKLOG = 2048
KEEP_ALIVE_SECONDS = 75
_POLL_SECONDS = 0.02
# uvicorn looks around ten times a second; deadlines are looked after at every so many of those.
_SWEEP_TICKS = 5
# Of every answer: no page of another origin may embed it, no browser guess its type, no cache keep it.
_HEADERS = [
    ("cache-control", "no-store"),
    ("cross-origin-resource-policy", "same-origin"),
    ("x-content-type-options", "nosniff"),
]

T = TypeVar("T")
# What ASGI itself calls its parts; the mappings really hold anything.
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


def bind_socket(host: str, port: int) -> socket.socket:
    """Raises PortHeld. The socket listens at once: until then Linux would let a second server bind it too."""
    if holder := port_holder(port, host):
        raise PortHeld(port, holder.pid, holder.command)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        if error.errno != errno.EADDRINUSE:
            raise
        raise PortHeld(port, None, None) from None
    return sock


def run(main: Coroutine[Any, Any, T]) -> T:
    """Like asyncio.run, on uvloop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def _nothing_to_end() -> None:
    pass


async def serve(
    app: App,
    sock: socket.socket,
    *,
    begin_drain: Callable[[], None],
    is_idle: Callable[[], bool],
    end_rest: Callable[[], None] = _nothing_to_end,
    owner_socket: socket.socket | None = None,
    limits: Limits = LIMITS,
    stop: asyncio.Event | None = None,
    drain_seconds: float = DRAIN_SECONDS,
    grace_seconds: float = CANCEL_SECONDS,
) -> None:
    """Serve until SIGTERM, SIGINT or `stop` is set, and return normally: a requested stop is exit code 0.

    Then: `begin_drain()` (refuse new work); wait until `is_idle()` for at most `drain_seconds`; `end_rest()`
    (tell what still runs to end with an error); wait `grace_seconds` for that; close. A second signal skips
    the waiting. What comes by `owner_socket`, which is bound as well, is from a process of the same user.
    """
    stop = stop or asyncio.Event()
    hurry = asyncio.Event()
    server = _Server(_config(app, grace_seconds, limits), owner_socket, limits)
    with _signals_set(stop, hurry):
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(server.serve(sockets=[sock]))
            stopping = tasks.create_task(stop.wait())
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            begin_drain()
            if not await _until(is_idle, drain_seconds, hurry):
                logger.warning("Still busy after {:g} s of draining: ending what runs.", drain_seconds)
                end_rest()
                await _until(is_idle, grace_seconds, asyncio.Event())
            server.should_exit = True
            await serving


class _Server(uvicorn.Server):
    """uvicorn without its signal handling, which would raise SIGTERM again after a clean end."""

    def __init__(self, config: uvicorn.Config, owner_socket: socket.socket | None, limits: Limits) -> None:
        super().__init__(config)
        self._owner_socket = owner_socket
        self._limits = limits

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._owner_socket is not None:
            protocol = partial(
                OwnerProtocol, self.config, self.server_state, self.lifespan.state, limits=self._limits
            )
            loop = asyncio.get_running_loop()
            self.servers.append(await loop.create_unix_server(protocol, sock=self._owner_socket))

    async def on_tick(self, counter: int) -> bool:
        if counter % _SWEEP_TICKS == 0:
            for connection in tuple(self.server_state.connections):
                if isinstance(connection, BoundedProtocol):
                    connection.sweep()
        return await super().on_tick(counter)


def _config(app: App, grace_seconds: float, limits: Limits) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        # A partial is called as the class would be.
        http=partial(BoundedProtocol, limits=limits),  # type: ignore[arg-type]
        headers=_HEADERS,
        ws="none",
        lifespan="on",
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=max(1, round(grace_seconds)),
        backlog=BACKLOG,
    )


@contextlib.contextmanager
def _signals_set(stop: asyncio.Event, hurry: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()

    def on_signal(name: str) -> None:
        logger.info("{} received: {}", name, "ending at once" if stop.is_set() else "draining")
        (hurry if stop.is_set() else stop).set()

    handled = (signal.SIGTERM, signal.SIGINT)
    for number in handled:
        loop.add_signal_handler(number, on_signal, number.name)
    try:
        yield
    finally:
        for number in handled:
            loop.remove_signal_handler(number)


async def _until(is_idle: Callable[[], bool], seconds: float, hurry: asyncio.Event) -> bool:
    """Whether the fact came about in time. Idleness is asked for, as its owner sends no event for it."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not is_idle():
        if hurry.is_set() or asyncio.get_running_loop().time() >= deadline:
            return False
        await asyncio.sleep(_POLL_SECONDS)
    return True
