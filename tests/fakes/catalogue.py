"""Models on disk that are there because a test says so."""

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from mlxhub.errors import MlxhubError, PullFailed
from mlxhub.protocol.registry import DiscoveredList, DiscoveredModel
from mlxhub.registry.pulling import Pulled, PullNews


class FakePull:
    """A Pulling: `say` what comes of it; Pulled or an error ends it."""

    def __init__(self, repo: str) -> None:
        self.repo = repo
        self._news: queue.SimpleQueue[PullNews | PullFailed] = queue.SimpleQueue()

    def say(self, news: PullNews | PullFailed) -> None:
        self._news.put(news)

    def __iter__(self) -> Iterator[PullNews]:
        while True:
            news = self._news.get(timeout=10)
            if isinstance(news, PullFailed):
                raise news
            yield news
            if isinstance(news, Pulled):
                return

    def cancel(self) -> None:
        self.say(PullFailed("cancelled", f"The pull of {self.repo} was cancelled."))


@dataclass
class FakeCatalogue:
    """A Catalogue. `may_look` clear: a disk that hangs. `error`: what becomes of everything."""

    found: list[str] = field(default_factory=list)
    enabled: list[str] = field(default_factory=list)
    error: MlxhubError | None = None
    looks: int = 0
    pulls: list[FakePull] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.may_begin = threading.Event()
        self.may_begin.set()
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

    def begin_pull(self, repo: str) -> FakePull:
        assert self.may_begin.wait(10)
        self._fail()
        self.pulls.append(FakePull(repo))
        return self.pulls[-1]

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error
