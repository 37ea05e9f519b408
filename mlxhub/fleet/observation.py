"""Look at one model: ask its worker, and launchd where the worker alone cannot tell."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from mlxhub.core.observed import AgentState
from mlxhub.errors import LaunchdError, WorkerHangs, WorkerSilent
from mlxhub.files.runs import parked_reason
from mlxhub.fleet.facts import ModelFacts
from mlxhub.fleet.hub import HubModel
from mlxhub.fleet.ownership import HolderOf, find_stranger, is_ours, tells_process
from mlxhub.fleet.processes import Ask
from mlxhub.launchd.contract import Launchd
from mlxhub.protocol.errors import RemoteError
from mlxhub.protocol.worker import WorkerStatus

# A start by other hands shows in the worker's answer at once; launchctl need not run each second for that.
INSPECT_AGAIN_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class _Inspection:
    """The last thing launchd said; `error` where it said nothing when it was last asked, at `at`."""

    agent: AgentState | None
    at: float | None
    error: str | None


async def look(
    model: HubModel,
    last: ModelFacts | None,
    *,
    launchd: Launchd,
    ask: Ask,
    holder_of: HolderOf,
    fresh: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> ModelFacts:
    """`last` is what an earlier look saw; `fresh`: ask launchd whatever it said before."""
    answer, silence, hangs = await _ask(ask)
    if last is None or fresh or _inspection_due(last, answer, clock()):
        inspection = await _inspect(model, last, launchd, clock)
    else:
        inspection = _Inspection(last.agent, last.inspected_at, last.launchd_error)

    async def inspect_again() -> AgentState | None:
        nonlocal inspection
        inspection = await _inspect(model, last, launchd, clock)
        return inspection.agent if inspection.error is None else None

    holder = None
    if answer is None or not await _is_ours(answer, model, inspection):
        holder = await find_stranger(model, answer, inspect=inspect_again, holder_of=holder_of)
        if answer is not None and not await _is_ours(answer, model, inspection):
            silence = f"a worker with pid {answer.pid} that is not this hub's answers on its port."
            answer = None
    agent = inspection.agent
    known, answered_at = (answer, clock()) if answer is not None else _remembered(last, agent)
    return ModelFacts(
        silent_since=None if answer is not None else _silent_since(last, clock()),
        silence=silence,
        hangs=hangs,
        worker=known,
        answered_at=answered_at,
        agent=agent,
        inspected_at=inspection.at,
        pid_seen_at=_pid_seen_at(last, agent, clock()),
        launchd_error=inspection.error,
        holder=holder,
        parked=None if answer is not None else await asyncio.to_thread(parked_reason, model.run_files),
    )


async def _ask(ask: Ask) -> tuple[WorkerStatus | None, str | None, bool]:
    """The answer, or why there is none, and whether it hangs."""
    try:
        return await ask(), None, False
    except (WorkerSilent, RemoteError) as error:
        return None, str(error), isinstance(error, WorkerHangs)


async def _inspect(
    model: HubModel, last: ModelFacts | None, launchd: Launchd, clock: Callable[[], float]
) -> _Inspection:
    try:
        agent = await asyncio.to_thread(launchd.inspect, model.label)
    except LaunchdError as error:
        return _Inspection(None if last is None else last.agent, clock(), str(error))
    return _Inspection(agent, clock(), None)


def _inspection_due(last: ModelFacts, answer: WorkerStatus | None, now: float) -> bool:
    """At once where something changed; else seldom, for each inspection starts a process."""
    told = last.agent is not None and last.launchd_error is None and tells_process(last.agent)
    if last.inspected_at is None or now - last.inspected_at >= INSPECT_AGAIN_SECONDS:
        return answer is None or not told
    if last.agent is None or not told:
        return False
    return last.agent.pid != answer.pid if answer is not None else last.agent.pid is not None


async def _is_ours(answer: WorkerStatus, model: HubModel, inspection: _Inspection) -> bool:
    return await is_ours(answer, model, inspection.agent, is_current=inspection.error is None)


def _remembered(
    last: ModelFacts | None, agent: AgentState | None
) -> tuple[WorkerStatus | None, float | None]:
    """What a process said holds for that process only."""
    if last is None or last.worker is None:
        return None, None
    if agent is not None and tells_process(agent) and agent.pid != last.worker.pid:
        return None, None
    return last.worker, last.answered_at


def _silent_since(last: ModelFacts | None, now: float) -> float:
    return now if last is None or last.silent_since is None else last.silent_since


def _pid_seen_at(last: ModelFacts | None, agent: AgentState | None, now: float) -> float | None:
    if agent is None or agent.pid is None:
        return None
    if last is None or last.agent is None or last.agent.pid != agent.pid or last.pid_seen_at is None:
        return now
    return last.pid_seen_at
