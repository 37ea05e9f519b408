"""Bring back what launchd should run and does not: starts it holds back, definitions that went stale."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from loguru import logger

from mlxhub.controller.hub_in_use import HubInUse
from mlxhub.controller.observer import Observer
from mlxhub.controller.operations import Operations
from mlxhub.core.repair import SOUND_SECONDS, Repair, pause_seconds, repair_for
from mlxhub.errors import MlxhubError
from mlxhub.fleet.hub import HubModel

INTERVAL_SECONDS = 2.0


@dataclass(slots=True)
class _Record:
    """Of one model. Times are monotonic."""

    down_since: float | None = None
    reinstalled: bool = False
    failures: int = 0
    not_before: float = 0.0


class Repairs:
    def __init__(
        self,
        hub: HubInUse,
        observer: Observer,
        operations: Operations,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hub = hub
        self._observer = observer
        self._operations = operations
        self._clock = clock
        self._records: dict[str, _Record] = {}

    async def run(self) -> None:
        """Until cancelled. A repair that takes long holds up no other model's."""
        busy: set[str] = set()

        async def attempt(model: HubModel, repair: Repair) -> None:
            try:
                await self._attempt(model, repair)
            finally:
                busy.discard(model.name)

        async with asyncio.TaskGroup() as tasks:
            while True:
                models = self._hub.value.models
                self._records = {name: record for name, record in self._records.items() if name in models}
                for model in models.values():
                    repair = None if model.name in busy else self._due(model)
                    if repair is not None:
                        busy.add(model.name)
                        tasks.create_task(attempt(model, repair))
                await asyncio.sleep(INTERVAL_SECONDS)

    def _due(self, model: HubModel) -> Repair | None:
        facts = self._observer.facts.get(model.name)
        if not model.config.default or facts is None or facts.agent is None or facts.launchd_error:
            return None
        now = self._clock()
        record = self._records.setdefault(model.name, _Record())
        if facts.pid is not None:
            record.down_since = None
            if facts.pid_seen_at is not None and now - facts.pid_seen_at >= SOUND_SECONDS:
                record.reinstalled, record.failures = False, 0
            return None
        if record.down_since is None:
            record.down_since = now
        if now < record.not_before:
            return None
        return repair_for(facts.agent, down_seconds=now - record.down_since, reinstalled=record.reinstalled)

    async def _attempt(self, model: HubModel, repair: Repair) -> None:
        record = self._records[model.name]
        record.reinstalled = record.reinstalled or repair is Repair.REINSTALL
        record.not_before = self._clock() + pause_seconds(record.failures)
        record.failures += 1
        try:
            pid = await self._operations.repair(model.name, repair)
        except MlxhubError as error:
            logger.warning('Repair of model "{}" ({}) failed: {}', model.name, repair.value, error)
        else:
            logger.info(
                'Model "{}" was down and runs again after a {} (pid {}).', model.name, repair.value, pid
            )
