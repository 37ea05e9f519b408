"""Who may use which worker: a request gets a lease on the model it names."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from loguru import logger

from mlxhub.clients.connection import Connection
from mlxhub.clients.headers import Headers
from mlxhub.clients.upstream import Upstream, WorkerUnreachable
from mlxhub.controller.hub_in_use import HubInUse
from mlxhub.controller.observer import Observer
from mlxhub.controller.operations import Operations
from mlxhub.errors import Draining, ModelNotRunning
from mlxhub.fleet.hub import HubModel


class Lease:
    """The right to one exchange with the worker of a model."""

    def __init__(self, dispatcher: "Dispatcher", model: HubModel, upstream: Upstream) -> None:
        self.model = model
        self._dispatcher = dispatcher
        self._upstream = upstream
        self._connection: Connection | None = None

    async def ask(self, method: str, target: bytes, headers: Headers, body: bytes) -> Connection:
        """The response's head is in; its body is read from the connection, which the lease takes back."""
        assert self._connection is None
        try:
            self._connection = await self._upstream.ask(method, target, headers, body)
        except WorkerUnreachable:
            # It ended since the last look at it, and has seen nothing of the request.
            await self._dispatcher.revive(self.model)
            self._connection = await self._upstream.ask(method, target, headers, body)
        return self._connection

    def end(self) -> None:
        if self._connection is not None:
            self._upstream.release(self._connection)


class Dispatcher:
    """Starts the process of a model that is asked for; loading the weights is the worker's own affair."""

    def __init__(self, hub: HubInUse, observer: Observer, operations: Operations) -> None:
        self._hub = hub
        self._observer = observer
        self._operations = operations
        self._upstreams: dict[str, Upstream] = {}
        self._leases: Counter[str] = Counter()
        self._draining = False

    @property
    def is_idle(self) -> bool:
        return self._leases.total() == 0

    def leases(self, name: str) -> int:
        return self._leases[name]

    def begin_drain(self) -> None:
        """Leases that exist run on; there are no new ones."""
        self._draining = True

    def end_leases(self) -> None:
        """Break off what is still being answered: streams end with an error event."""
        for upstream in self._upstreams.values():
            upstream.close()

    @asynccontextmanager
    async def lease(self, model_id: str) -> AsyncIterator[Lease]:
        """Waits until the worker answers. Raises UnknownModel, Draining, ModelNotRunning or what stopped it.

        Leaving ends the exchange: a worker that is still answering is hung up on.
        """
        if self._draining:
            raise Draining
        model = self._hub.value.find(model_id)
        self._leases[model.name] += 1
        try:
            if not self._observer.is_serving(model.name):
                await self._start(model)
            lease = Lease(self, model, self._upstream(model))
            try:
                yield lease
            finally:
                lease.end()
        finally:
            self._leases[model.name] -= 1

    async def revive(self, model: HubModel) -> None:
        """The port takes no connection: see what became of the process, and start it if it is down."""
        await self._observer.look(model.name)
        if not self._observer.is_serving(model.name):
            await self._start(model)

    async def _start(self, model: HubModel) -> None:
        if not model.config.jit:
            await self._observer.look(model.name)
            if self._observer.is_serving(model.name):
                return
            raise ModelNotRunning(
                model.name, f"hub.yaml says jit: false. Start it with: mlxhub start-model {model.name}"
            )
        status = await self._operations.start(model.name)
        logger.debug('A request for model "{}" found it with pid {}.', model.name, status.pid)

    def _upstream(self, model: HubModel) -> Upstream:
        upstream = self._upstreams.get(model.name)
        if upstream is None or upstream.port != model.port:
            upstream = self._upstreams[model.name] = Upstream(model.name, model.port)
        return upstream
