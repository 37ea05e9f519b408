"""Models on disk that are there because a test says so."""

import threading
from dataclasses import dataclass, field

from mlxhub.errors import MlxhubError
from mlxhub.protocol.registry import DiscoveredList, DiscoveredModel


@dataclass
class FakeCatalogue:
    """A Catalogue. `may_look` clear: a disk that hangs. `error`: what becomes of everything."""

    found: list[str] = field(default_factory=list)
    enabled: list[str] = field(default_factory=list)
    error: MlxhubError | None = None
    looks: int = 0

    def __post_init__(self) -> None:
        self.may_look = threading.Event()
        self.may_look.set()

    def discover(self) -> DiscoveredList:
        self.looks += 1
        assert self.may_look.wait(10)
        self._fail()
        models = [DiscoveredModel(model_path=name, directory=f"/models/{name}") for name in self.found]
        return DiscoveredList(models=models, complete=True)

    def enable(self, model: str, name: str | None) -> str:
        self._fail()
        self.enabled.append(name or model)
        return name or model

    def disable(self, name: str) -> None:
        self._fail()
        self.enabled.remove(name)

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error
