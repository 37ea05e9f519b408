"""The clients of a hub's workers, one for each, made when first needed."""

from mlxhub.clients.upstream import Trust
from mlxhub.clients.worker import WorkerClient
from mlxhub.fleet.hub import HubModel


class Workers:
    def __init__(self, trust: Trust) -> None:
        self._trust = trust
        self._clients: dict[str, WorkerClient] = {}

    def of(self, model: HubModel) -> WorkerClient:
        """A model that moved to another port gets a new client."""
        client = self._clients.get(model.name)
        if client is None or client.port != model.port:
            if client is not None:
                client.close()
            client = self._clients[model.name] = WorkerClient(model.name, model.port, self._trust)
        return client
