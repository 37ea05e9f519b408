"""One reload on its way: what is done is in use as it is now, what is not begun as it was."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from typing import TypeVar

from mlxhub.controller.hub_in_use import HubInUse
from mlxhub.core.lifecycle import STOP_SECONDS
from mlxhub.errors import LaunchctlTimeout, LaunchdError, ModelChanging, PlanFailed
from mlxhub.fleet.hub import Hub, HubModel
from mlxhub.fleet.ownership import installed_generation
from mlxhub.fleet.processes import START_SECONDS
from mlxhub.launchd.contract import Launchd

# A restart, the longest change of one model, takes a stop and a start.
CHANGING_SECONDS = STOP_SECONDS + START_SECONDS + 30.0
# A stage is left when its models were looked at; launchd has deadlines of its own for that.
_HAND_OVER_SECONDS = 120.0
_T = TypeVar("_T")


class Rollout:
    """Made on the loop; `during` is entered on the thread that carries the plan out."""

    def __init__(
        self,
        hub: Hub,
        in_use: HubInUse,
        *,
        launchd: Launchd,
        changing: Mapping[str, asyncio.Lock],
        look: Callable[[str], Awaitable[None]],
        changing_seconds: float = CHANGING_SECONDS,
    ) -> None:
        """`changing` has a lock for every name, `changing_seconds` is how long one is waited for."""
        self._new = hub
        self._old = in_use.value
        self._in_use = in_use
        self._launchd = launchd
        self._changing = changing
        self._look = look
        self._changing_seconds = changing_seconds
        self._loop = asyncio.get_running_loop()
        self._staged: set[str] = set()
        self._taken: set[str] = set()

    @contextmanager
    def during(self, labels: tuple[str, ...]) -> Iterator[None]:
        """No other change of these models meanwhile. Raises ModelChanging where one does not end."""
        stage = self._stage(self._names_of(labels))
        self._on_loop(stage.__aenter__())
        try:
            yield
        except BaseException as error:
            self._on_loop(stage.__aexit__(type(error), error, error.__traceback__))
            raise
        self._on_loop(stage.__aexit__(None, None, None))

    def finish(self, left: Iterable[str]) -> None:
        """The plan came to its end; `left` are the names that failed or were not begun.

        What had no stage needed none.
        """
        self._accept()
        self._take({*self._old.models, *self._new.models} - self._staged - {*left})

    @asynccontextmanager
    async def _stage(self, names: list[str]) -> AsyncIterator[None]:
        async with AsyncExitStack() as locks:
            name = ""
            try:
                async with asyncio.timeout(self._changing_seconds):
                    for name in names:
                        await locks.enter_async_context(self._changing[name])
            except TimeoutError:
                raise ModelChanging(name, self._changing_seconds) from None
            self._accept()
            self._staged.update(names)
            failed: set[str] = set(names)
            try:
                yield
                failed = set()
            except PlanFailed as error:
                failed = set(self._names_of(error.failures))
                raise
            finally:
                anew = await asyncio.gather(*(self._is_anew(name) for name in failed))
                self._take(
                    {*names} - {name for name, is_anew in zip(failed, anew, strict=True) if not is_anew}
                )
                await asyncio.gather(*(self._look(name) for name in names))

    def _accept(self) -> None:
        """The plan is being carried out: what the new hub only routes in another way holds at once."""
        routed = {
            name
            for name, model in self._new.models.items()
            if name in self._old.models and _runs_alike(self._old.models[name], model)
        }
        self._take(routed)

    def _take(self, names: Iterable[str]) -> None:
        self._taken.update(names)
        self._in_use.replace(partly(self._old, self._new, self._taken))

    async def _is_anew(self, name: str) -> bool:
        """Of a model that failed: whether what runs, else what would be started, is what is wanted."""
        wanted = self._new.models.get(name)
        model = wanted or self._old.models[name]
        try:
            agent = await asyncio.to_thread(self._launchd.inspect, model.label)
        except LaunchdError:
            agent = None
        if wanted is None:
            return agent is not None and not agent.loaded
        if name not in self._old.models:
            return True
        if agent is not None and agent.loaded and agent.generation is not None:
            return agent.generation == wanted.generation
        return await asyncio.to_thread(installed_generation, wanted) == wanted.generation

    def _names_of(self, labels: Iterable[str]) -> list[str]:
        """In the one order in which locks are taken; labels of models that neither hub knows are left out."""
        models = {**self._old.models, **self._new.models}
        names = {model.label: name for name, model in models.items()}
        return sorted(names[label] for label in labels if label in names)

    def _on_loop(self, work: Coroutine[object, object, _T]) -> _T:
        """A step of a stage that takes too long is broken off, so that it keeps no lock."""
        seconds = self._changing_seconds + _HAND_OVER_SECONDS
        step = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return step.result(seconds)
        except TimeoutError:
            raise LaunchctlTimeout("A stage of the reload", seconds) from None
        finally:
            step.cancel()


def partly(old: Hub, new: Hub, taken: set[str]) -> Hub:
    """The hub when these models of either are as in `new` and the others still as in `old`.

    A name that moves from one model to another leaves the one when the other is taken.
    """
    models = {
        name: new.models[name] if name in taken else old.models[name]
        for name in new.models
        if name in taken or name in old.models
    }
    models |= {
        name: model for name, model in old.models.items() if name not in new.models and name not in taken
    }
    names = {
        model_id: name
        for model_id, name in old.names.items()
        if name in models and (model_id in new.names or name not in taken)
    }
    names |= {model_id: name for model_id, name in new.names.items() if name in taken}
    return replace(new, models=models, names=names)


def _runs_alike(old: HubModel, new: HubModel) -> bool:
    return (old.port, old.generation, old.label) == (new.port, new.generation, new.label)
