"""End processes that run and have not answered for minutes, so that launchd starts them anew.

A worker watches its own engine. What it cannot notice is a hang of its whole interpreter, in native code that
lets no other thread run.
"""

import asyncio
from collections.abc import Callable

from loguru import logger

from mlxhub.controller.observer import Observer
from mlxhub.controller.operations import Operations
from mlxhub.core.lifecycle import ModelState
from mlxhub.core.repair import is_frozen
from mlxhub.errors import MlxhubError
from mlxhub.files.process_look import ProcessLook, look_at_process
from mlxhub.fleet.facts import ModelFacts

INTERVAL_SECONDS = 2.0


class FrozenProcesses:
    """Silence is counted in turns of `run`, not by a clock: while this machine sleeps nobody can answer."""

    def __init__(
        self,
        observer: Observer,
        operations: Operations,
        interval_seconds: float = INTERVAL_SECONDS,
        look_at: Callable[[int], ProcessLook | None] = look_at_process,
    ) -> None:
        self._observer = observer
        self._operations = operations
        self._interval_seconds = interval_seconds
        self._look_at = look_at
        # By model and pid.
        self._turns: dict[tuple[str, int], int] = {}

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(self._interval_seconds)
            silent = dict(self._silent())
            self._turns = {who: self._turns.get(who, 0) + 1 for who in silent}
            for who, facts in silent.items():
                is_loading = facts.worker is not None and facts.worker.model_status is ModelState.LOADING
                if is_frozen(self._turns[who] * INTERVAL_SECONDS, loading=is_loading):
                    del self._turns[who]
                    await self._end(*who)

    def _silent(self) -> list[tuple[tuple[str, int], ModelFacts]]:
        """Ours, as far as launchd and the system say, on a port that nobody else holds."""
        return [
            ((name, facts.agent.pid), facts)
            for name, facts in self._observer.facts.items()
            if facts.hangs
            and facts.agent is not None
            and facts.agent.pid is not None
            and facts.launchd_error is None
            and facts.holder is None
        ]

    async def _end(self, name: str, pid: int) -> None:
        try:
            look = await asyncio.to_thread(self._look_at, pid)
            if look is None or look.is_stopped:
                return
            if await self._operations.kill(name, pid):
                logger.error(
                    'Model "{}" did not answer for minutes and was killed (pid {}: {}).',
                    name,
                    pid,
                    look.description,
                )
        except MlxhubError as error:
            logger.warning('Model "{}" does not answer, and killing it failed: {}', name, error)
        except Exception:  # noqa: BLE001 - the top of a background task; the others hang no less
            logger.exception('Unexpected error where model "{}" does not answer', name)
