"""Who may use which worker: a request gets a lease on the model it names."""

import asyncio
from typing import Self

from loguru import logger

from mlxhub.clients.connection import Connection
from mlxhub.clients.headers import Headers
from mlxhub.clients.upstream import Trust, Upstream, WorkerUnreachable
from mlxhub.controller.hub_in_use import HubInUse
from mlxhub.controller.observer import Observer
from mlxhub.controller.scheduling import Place, Scheduling
from mlxhub.errors import MlxhubError
from mlxhub.fleet.workers import Workers
from mlxhub.refusals import Draining

# A worker that answers, for instance while it loads, may take its time; one that does not even say how it
# is for this long will not answer requests either.
SILENT_SECONDS = 30.0
_WATCH_EVERY_SECONDS = 1.0


class Lease:
    """The right to one exchange with the worker of a model: entered when that is in memory.

    Leaving ends the exchange: a worker that is still answering is hung up on. A class, since two generators
    in its place took as much time as the scheduler.
    """

    def __init__(self, dispatcher: "Dispatcher", place: Place) -> None:
        self.name = place.name
        self.ended_by: MlxhubError | None = None
        self._dispatcher = dispatcher
        self._place = place
        self._upstream: Upstream | None = None
        self._connection: Connection | None = None

    async def __aenter__(self) -> Self:
        """Waits. Raises why there is no place."""
        self._dispatcher.begin(self)
        try:
            await self._place.take()
            self._upstream = self._dispatcher.upstream(self.name)
        except BaseException:
            self._end()
            raise
        return self

    async def __aexit__(self, *_failure: object) -> None:
        self._end()

    async def ask(self, method: str, target: bytes, headers: Headers, body: bytes) -> Connection:
        """The response's head is in; its body is read from the connection, which the lease takes back."""
        assert self._connection is None
        assert self._upstream is not None
        try:
            self._connection = await self._upstream.ask(method, target, headers, body)
        except WorkerUnreachable:
            # It ended since the last look at it, and has seen nothing of the request.
            self._upstream = await self._dispatcher.revive(self._place)
            self._connection = await self._upstream.ask(method, target, headers, body)
        return self._connection

    def _end(self) -> None:
        if self._connection is not None and self._upstream is not None:
            self._upstream.release(self._connection)
        self._place.give_back()
        self._dispatcher.end(self)


class Dispatcher:
    """A request goes to a worker once its model is in memory."""

    def __init__(
        self,
        hub: HubInUse,
        observer: Observer,
        scheduling: Scheduling,
        workers: Workers,
        trust: Trust,
        silent_seconds: float = SILENT_SECONDS,
    ) -> None:
        """`silent_seconds`: what waits for a worker that says nothing at all ends after this."""
        self._hub = hub
        self._observer = observer
        self._scheduling = scheduling
        self._workers = workers
        self._trust = trust
        self._silent_seconds = silent_seconds
        self._upstreams: dict[str, Upstream] = {}
        self._leases: set[Lease] = set()
        self._draining = False

    @property
    def is_idle(self) -> bool:
        return not self._leases

    async def watch(self) -> None:
        """Until cancelled: hang up on workers that hang, so that nobody waits for them for ever."""
        while True:
            for name, model in self._hub.value.models.items():
                if self._observer.silent_seconds(name) < self._silent_seconds:
                    continue
                upstream = self._upstreams.get(name)
                # Both, whatever the first says.
                ended = [upstream is not None and upstream.close(), self._workers.of(model).hang_up()]
                if any(ended):
                    logger.warning(
                        'The worker of model "{}" has been silent for {:g} s: what waits for it ends.',
                        name,
                        self._silent_seconds,
                    )
            await asyncio.sleep(_WATCH_EVERY_SECONDS)

    def begin_drain(self) -> None:
        """Leases that exist run on; there are no new ones."""
        self._draining = True

    def end_leases(self) -> None:
        """Break off what is still being answered: streams end with an error event."""
        for upstream in self._upstreams.values():
            upstream.close()

    def lease(self, model_id: str, _path: str = "", _body: bytes = b"", /) -> Lease:
        """To be entered. Raises UnknownModel and Draining."""
        if self._draining:
            raise Draining
        return Lease(self, Place(self._scheduling, self._hub.value.find(model_id).name))

    def begin(self, lease: Lease) -> None:
        """For the lease itself, which waits or is held from now on."""
        self._leases.add(lease)

    def end(self, lease: Lease) -> None:
        """For the lease itself."""
        self._leases.discard(lease)

    async def revive(self, place: Place) -> Upstream:
        """The port takes no connection: see what became of the process, and wait until it is back."""
        await self._observer.look(place.name)
        await place.take()
        return self.upstream(place.name)

    def upstream(self, name: str) -> Upstream:
        """To where it is now: a reload may have moved it to another port. Raises UnknownModel."""
        model = self._hub.value.named(name)
        upstream = self._upstreams.get(name)
        if upstream is None or upstream.port != model.port:
            upstream = self._upstreams[name] = Upstream(name, model.port, self._trust)
        return upstream
