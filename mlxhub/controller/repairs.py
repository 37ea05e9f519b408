"""Bring back what launchd should run and does not: starts it holds back, definitions that went stale."""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from loguru import logger

from mlxhub.controller.hub_in_use import HubInUse
from mlxhub.controller.observer import Observer
from mlxhub.controller.operations import Operations
from mlxhub.core.observed import AgentState
from mlxhub.core.repair import SOUND_SECONDS, Repair, pause_seconds, repair_for
from mlxhub.errors import MlxhubError

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
        interval_seconds: float = INTERVAL_SECONDS,
    ) -> None:
        self._hub = hub
        self._observer = observer
        self._operations = operations
        self._clock = clock
        self._interval_seconds = interval_seconds
        self._records: dict[str, _Record] = {}

    async def run(self) -> None:
        """Until cancelled. A repair that takes long holds up no other model's."""
        busy: set[str] = set()

        async def attempt(name: str, record: _Record) -> None:
            try:
                await self._attempt(name, record)
            except Exception:  # noqa: BLE001  the top of a background task; the next attempt may go well
                logger.exception('Unexpected error in a repair of model "{}"', name)
            finally:
                busy.discard(name)

        async with asyncio.TaskGroup() as tasks:
            while True:
                models = self._hub.value.models
                self._records = {name: record for name, record in self._records.items() if name in models}
                for name in models.keys() - busy:
                    record = self._records.setdefault(name, _Record())
                    if self._is_due(name, record):
                        busy.add(name)
                        tasks.create_task(attempt(name, record))
                await asyncio.sleep(self._interval_seconds)

    def _is_due(self, name: str, record: _Record) -> bool:
        """From the last look, which may be some seconds old."""
        facts = self._observer.facts.get(name)
        if facts is None or facts.agent is None or facts.launchd_error:
            return False
        now = self._clock()
        if facts.pid is not None:
            record.down_since = None
            self._operations.is_back(name)
            if facts.pid_seen_at is not None and now - facts.pid_seen_at >= SOUND_SECONDS:
                record.reinstalled, record.failures = False, 0
            return False
        if record.down_since is None:
            record.down_since = now
        return now >= record.not_before and self._repair_for(name, facts.agent, record) is not None

    def _repair_for(self, name: str, agent: AgentState, record: _Record) -> Repair | None:
        model = self._hub.value.models.get(name)
        if model is None or not model.config.default or record.down_since is None:
            return None
        return repair_for(
            agent,
            down_seconds=self._clock() - record.down_since,
            reinstalled=record.reinstalled,
            taken_away=self._operations.was_taken_away(name),
        )

    async def _attempt(self, name: str, record: _Record) -> None:
        repair: Repair | None = None

        def decide(agent: AgentState) -> Repair | None:
            nonlocal repair
            repair = self._repair_for(name, agent, record)
            record.reinstalled = record.reinstalled or repair is Repair.REINSTALL
            return repair

        record.not_before = self._clock() + pause_seconds(record.failures, random.random())  # noqa: S311 - no secret
        record.failures += 1
        try:
            pid = await self._operations.repair(name, decide)
        except MlxhubError as error:
            what = "look" if repair is None else repair.value
            logger.warning('Repair of model "{}" ({}) failed: {}', name, what, error)
            return
        if pid is None or repair is None:
            # Somebody was faster: no attempt was made.
            record.failures -= 1
            return
        logger.info('Model "{}" was down and runs again after a {} (pid {}).', name, repair.value, pid)
