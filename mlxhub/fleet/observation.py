"""Look at one model: ask its worker, and launchd where the worker alone cannot tell."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from mlxhub.clients.remote_error import RemoteError
from mlxhub.core.observed import AgentState, PortHolder
from mlxhub.errors import LaunchdError, WorkerSilent
from mlxhub.fleet.facts import ModelFacts
from mlxhub.fleet.hub import HubModel
from mlxhub.fleet.processes import Ask, HolderOf
from mlxhub.launchd.contract import Launchd
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
    silence = None
    answer: WorkerStatus | None = None
    try:
        answer = await ask()
    except (WorkerSilent, RemoteError) as error:
        silence = str(error)
    inspection = await _inspect(model, last, answer, launchd, fresh, clock)
    agent = inspection.agent
    if answer is not None and not _is_ours(answer, model, agent, inspection.error):
        return ModelFacts(
            looked_at=clock(),
            silence=f"a worker with pid {answer.pid} that is not this hub's answers on its port.",
            agent=agent,
            inspected_at=inspection.at,
            launchd_error=inspection.error,
            holder=await asyncio.to_thread(holder_of, model.port) or PortHolder(answer.pid, None),
        )
    known, answered_at = (answer, clock()) if answer is not None else _remembered(last, agent)
    return ModelFacts(
        looked_at=clock(),
        silent=answer is None,
        silence=silence,
        worker=known,
        answered_at=answered_at,
        agent=agent,
        inspected_at=inspection.at,
        pid_seen_at=_pid_seen_at(last, agent, clock()),
        launchd_error=inspection.error,
        holder=await _stranger(model, agent, holder_of) if answer is None else None,
    )


async def _inspect(
    model: HubModel,
    last: ModelFacts | None,
    answer: WorkerStatus | None,
    launchd: Launchd,
    fresh: bool,
    clock: Callable[[], float],
) -> _Inspection:
    if last is not None and not fresh and not _inspection_due(last, answer, clock()):
        return _Inspection(last.agent, last.inspected_at, last.launchd_error)
    try:
        agent = await asyncio.to_thread(launchd.inspect, model.label)
    except LaunchdError as error:
        return _Inspection(None if last is None else last.agent, clock(), str(error))
    return _Inspection(agent, clock(), None)


def _inspection_due(last: ModelFacts, answer: WorkerStatus | None, now: float) -> bool:
    """At once where something changed; else seldom, for each inspection starts a process."""
    if last.inspected_at is None or now - last.inspected_at >= INSPECT_AGAIN_SECONDS:
        return answer is None or last.agent is None or last.launchd_error is not None
    if last.agent is None or last.launchd_error is not None:
        return False
    return last.agent.pid != answer.pid if answer is not None else last.agent.pid is not None


def _is_ours(answer: WorkerStatus, model: HubModel, agent: AgentState | None, error: str | None) -> bool:
    """The pid is the proof. While launchd is silent, the definition the worker was started with has to do."""
    if agent is not None and agent.pid == answer.pid:
        return True
    return error is not None and answer.name == model.name and answer.generation == model.generation


def _remembered(
    last: ModelFacts | None, agent: AgentState | None
) -> tuple[WorkerStatus | None, float | None]:
    """What a process said holds for that process only."""
    if last is None or last.worker is None or (agent is not None and agent.pid != last.worker.pid):
        return None, None
    return last.worker, last.answered_at


def _pid_seen_at(last: ModelFacts | None, agent: AgentState | None, now: float) -> float | None:
    if agent is None or agent.pid is None:
        return None
    if last is None or last.agent is None or last.agent.pid != agent.pid or last.pid_seen_at is None:
        return now
    return last.pid_seen_at


async def _stranger(model: HubModel, agent: AgentState | None, holder_of: HolderOf) -> PortHolder | None:
    """Our own process may hold the port and be silent."""
    holder = await asyncio.to_thread(holder_of, model.port)
    own_pid = None if agent is None else agent.pid
    if holder is None or (own_pid is not None and holder.pid in (own_pid, None)):
        return None
    return holder
