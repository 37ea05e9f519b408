"""The hub that requests find: every model as it runs, while a reload changes one after the other."""

from mlxhub.fleet.hub import Hub


class HubInUse:
    """Replaced by a reload and by nothing else. Ask it each time; keep no copy across an await."""

    def __init__(self, hub: Hub, warnings: tuple[str, ...] = ()) -> None:
        """`warnings`: what is wrong with it, until it is replaced."""
        self._hub = hub
        self._warnings = warnings

    @property
    def value(self) -> Hub:
        return self._hub

    @property
    def warnings(self) -> tuple[str, ...]:
        return self._warnings

    def replace(self, hub: Hub, warnings: tuple[str, ...] = ()) -> None:
        self._hub = hub
        self._warnings = warnings
