"""The hub.yaml the controller goes by: the last one that had no faults."""

from mlxhub.fleet.hub import Hub


class HubInUse:
    """Replaced by a reload and by nothing else. Ask it each time; keep no copy across an await."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    @property
    def value(self) -> Hub:
        return self._hub

    def replace(self, hub: Hub) -> None:
        self._hub = hub
