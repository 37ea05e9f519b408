"""Look at every model again and again, and keep what was seen last.

Nothing else tells the controller what runs: so it adopts, after its own restart, whatever is there.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeAlias

from loguru import logger

from mlxhub.controller.collaborators import Collaborators
from mlxhub.controller.hub_in_use import HubInUse
from mlxhub.fleet.facts import ModelFacts
from mlxhub.fleet.holdings import NOTHING_HELD
from mlxhub.fleet.hub import HubModel
from mlxhub.fleet.observation import look
from mlxhub.fleet.workers import Workers

INTERVAL_SECONDS = 1.5

# What hears of each look: the model's name, the facts before and now, and when the look began.
Listener: TypeAlias = Callable[[str, ModelFacts | None, ModelFacts, float], None]


class Observer:
    def __init__(
        self,
        hub: HubInUse,
        collaborators: Collaborators,
        workers: Workers,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hub = hub
        self._outside = collaborators
        self._workers = workers
        self._clock = clock
        self._listeners: list[Listener] = []
        self._facts: dict[str, ModelFacts] = {}
        self._counting = asyncio.Lock()
        self.holdings = NOTHING_HELD
        self._looking: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def add_listener(self, listener: Listener) -> None:
        self._listeners.append(listener)

    @property
    def facts(self) -> Mapping[str, ModelFacts]:
        """By model name; without those that were not looked at yet."""
        return self._facts

    @property
    def has_seen_all(self) -> bool:
        return self._facts.keys() >= self._hub.value.models.keys()

    def is_serving(self, name: str) -> bool:
        """Whether our own worker answered at the last look."""
        facts = self._facts.get(name)
        return facts is not None and not facts.silent

    def silent_seconds(self, name: str) -> float:
        """For how long it has said nothing at any look; 0 where it answered at the last, or is unknown."""
        facts = self._facts.get(name)
        return 0.0 if facts is None or facts.silent_since is None else self._clock() - facts.silent_since

    async def run(self) -> None:
        """Until cancelled. A look that takes long holds up no other model's."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                models = self._hub.value.models
                for gone in self._facts.keys() - models.keys():
                    del self._facts[gone]
                    self._looking.pop(gone, None)
                for model in models.values():
                    if not self._looking[model.name].locked():
                        tasks.create_task(self._look(model, fresh=False))
                if not self._counting.locked():
                    tasks.create_task(self.count())
                await asyncio.sleep(INTERVAL_SECONDS)

    async def look_at_all(self) -> None:
        """As `look`: for whoever may have changed anything."""
        await asyncio.gather(self.count(), *(self.look(name) for name in self._hub.value.models))

    async def ask_all(self) -> None:
        """As `ask`. To ask launchd too takes a process for each model: seconds where there are many."""
        await asyncio.gather(self.count(), *(self.ask(name) for name in self._hub.value.models))

    async def look(self, name: str) -> None:
        """A look that begins after this call, for whoever has just changed something.

        Of the model as it is in use then: a reload may move it meanwhile.
        """
        await self._look_as_in_use(name, fresh=True)

    async def ask(self, name: str) -> None:
        """The same at its worker, and at launchd as `run` does, only where that leaves something open.

        For whoever has changed what is in memory, of which launchd knows nothing.
        """
        await self._look_as_in_use(name, fresh=False)

    async def look_at_first(self, name: str) -> None:
        """Unless it was looked at before; once for all who want that."""
        if name in self._facts:
            return
        async with self._looking[name]:
            # One may have been under way.
            pass
        if name not in self._facts:
            await self.look(name)

    async def count(self) -> None:
        """What models hold together."""
        async with self._counting:
            self.holdings = await asyncio.to_thread(self._outside.holdings)

    async def _look_as_in_use(self, name: str, *, fresh: bool) -> None:
        looked_at = None
        while (model := self._hub.value.models.get(name)) is not None and model is not looked_at:
            await self._look(model, fresh=fresh)
            looked_at = model

    async def _look(self, model: HubModel, *, fresh: bool) -> None:
        async with self._looking[model.name]:
            last = self._facts.get(model.name)
            began = self._clock()
            try:
                facts = await look(
                    model,
                    last,
                    launchd=self._outside.launchd,
                    ask=self._workers.of(model).status,
                    holder_of=self._outside.holder_of,
                    fresh=fresh,
                    clock=self._clock,
                )
            except Exception as error:  # noqa: BLE001  the top of a background task; the next look may go well
                facts = self._unseen(model.name, last, error)
            if model.name in self._hub.value.models:
                self._facts[model.name] = facts
                for listener in self._listeners:
                    listener(model.name, last, facts, began)

    def _unseen(self, name: str, last: ModelFacts | None, error: Exception) -> ModelFacts:
        """After a look that broke. What breaks each of them is logged once."""
        silence = f"looking at it failed: {type(error).__name__}: {error}"
        if last is None:
            last = ModelFacts(silent_since=None)
        if last.silence != silence:
            logger.exception('Unexpected error in a look at model "{}"', name)
        since = self._clock() if last.silent_since is None else last.silent_since
        return replace(last, silent_since=since, silence=silence)
