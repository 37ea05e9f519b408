"""Start and stop one model's process through launchd, and know that it is ours which answers."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from mlxhub.core.lifecycle import STOP_SECONDS, ProcessState
from mlxhub.core.observed import AgentState
from mlxhub.core.restarts import logs_command
from mlxhub.errors import LOGIN_ITEMS, ModelFailed, ModelNotRunning, PortHeld, WorkerSilent
from mlxhub.files.runs import lasting_reason, make_new_beginning, parked_reason
from mlxhub.fleet.hub import HubModel
from mlxhub.fleet.ownership import HolderOf, find_stranger, installed_generation, is_ours, tells_process
from mlxhub.launchd.contract import Launchd
from mlxhub.protocol.errors import RemoteError
from mlxhub.protocol.worker import WorkerStatus

START_SECONDS = 60.0
_ASK_EVERY_SECONDS = 0.05
_INSPECT_EVERY_SECONDS = 0.25
# launchd may call a job "not running" for a moment before it starts it again.
_SECOND_LOOK_SECONDS = 0.5

Ask = Callable[[], Awaitable[WorkerStatus]]


async def start_process(
    model: HubModel,
    *,
    launchd: Launchd,
    ask: Ask,
    holder_of: HolderOf,
    enable: bool,
    seconds: float = START_SECONDS,
) -> WorkerStatus:
    """Returns when our worker answers; a running one is left alone.

    What is loaded is the plist on disk, whatever hub.yaml says by now. `enable`: a person asked for this
    start, so that a leftover `launchctl disable` goes, and what keeps it down after too many deaths. Raises
    PortHeld, ModelFailed (it is kept down), ModelNotRunning (it ended, or is not installed), WorkerSilent (it
    runs and says nothing in time) or LaunchdError.
    """
    if not enable:
        await refuse_parked(model)
    before = await asyncio.to_thread(launchd.inspect, model.label)
    if enable and before.pid is None:
        await asyncio.to_thread(make_new_beginning, model.run_files)
    if enable and (before.broken or before.process is ProcessState.THROTTLED):
        # Loaded anew, launchd forgets its throttle and the program it knew.
        await asyncio.to_thread(launchd.bootout, model.label)
        before = await asyncio.to_thread(launchd.inspect, model.label)
    if not before.loaded:
        await asyncio.to_thread(_bootstrap, model, launchd, enable)
    if before.pid is None:
        answer = None if tells_process(before) else await _status_or_none(ask)
        if answer is not None and await is_ours(answer, model, before):
            return answer
        await _refuse_held_port(model, answer, launchd, holder_of)
        await asyncio.to_thread(launchd.kickstart, model.label)
    return await _answer(model, before, launchd, ask, holder_of, seconds)


async def refuse_parked(model: HubModel) -> None:
    """Raises ModelFailed where only a person may start it again."""
    reason = await asyncio.to_thread(lasting_reason, model.run_files)
    if reason is not None:
        raise ModelFailed(model.name, reason)


async def stop_process(model: HubModel, *, launchd: Launchd, seconds: float = STOP_SECONDS) -> bool:
    """Whether there was anything to stop."""
    return await stop_job(model.label, launchd=launchd, eager=model.config.default, seconds=seconds)


async def stop_job(label: str, *, launchd: Launchd, eager: bool, seconds: float = STOP_SECONDS) -> bool:
    """Whether there was anything to stop.

    The job stays loaded where the process ends by itself with exit 0, so that a reload does not revive it.
    An eager one that is down for another reason is booted out: launchd, or a repair, would bring it back.
    """
    before = await asyncio.to_thread(launchd.inspect, label)
    if _stays_down(before, eager=eager):
        return False
    if before.pid is not None:
        await asyncio.to_thread(launchd.kill, label, "SIGTERM")
        after = await _left(label, before.pid, launchd, seconds)
        if after.process is ProcessState.STOPPED:
            await asyncio.sleep(_SECOND_LOOK_SECONDS)
            after = await asyncio.to_thread(launchd.inspect, label)
        if _stays_down(after, eager=eager):
            return True
    # It hangs, or died of the signal before it could handle it and launchd brings it back: take the job away.
    await asyncio.to_thread(launchd.bootout, label)
    return True


def _stays_down(agent: AgentState, *, eager: bool) -> bool:
    """Nobody demands a lazy agent but a person or a request."""
    if not agent.loaded or agent.stopped_on_purpose:
        return True
    return not eager and agent.process is ProcessState.STOPPED


def _bootstrap(model: HubModel, launchd: Launchd, enable: bool) -> None:
    generation = installed_generation(model)
    if generation is None:
        raise ModelNotRunning(model.name, "its agent is not installed. Install it with: mlxhub install")
    if enable:
        launchd.enable(model.label)
    launchd.bootstrap(model.plist, model.label, generation)


async def _refuse_held_port(
    model: HubModel, answer: WorkerStatus | None, launchd: Launchd, holder_of: HolderOf
) -> None:
    """The holder may be our own worker, which launchd has just brought back."""

    async def inspect() -> AgentState:
        return await asyncio.to_thread(launchd.inspect, model.label)

    stranger = await find_stranger(model, answer, inspect=inspect, holder_of=holder_of)
    if stranger is not None:
        raise PortHeld(model.port, stranger.pid, stranger.command)


async def _answer(
    model: HubModel, before: AgentState, launchd: Launchd, ask: Ask, holder_of: HolderOf, seconds: float
) -> WorkerStatus:
    deadline = time.monotonic() + seconds
    state = before
    inspected_at = -_INSPECT_EVERY_SECONDS
    pids: set[int] = set()
    while time.monotonic() < deadline:
        if time.monotonic() - inspected_at >= _INSPECT_EVERY_SECONDS:
            state = await asyncio.to_thread(launchd.inspect, model.label)
            inspected_at = time.monotonic()
            pids |= {state.pid} if state.pid is not None else set()
            if state.pid is None and _ended(state, before, seen_pid=bool(pids)):
                await _refuse_held_port(model, None, launchd, holder_of)
                if reason := await asyncio.to_thread(parked_reason, model.run_files):
                    raise ModelFailed(model.name, reason)
                raise ModelNotRunning(model.name, f"it {how_it_ended(state)} See: {logs_command(model.name)}")
            if len(pids) > 1:
                # The first has ended, and launchd was quicker to start the next than anybody was to look.
                await _refuse_held_port(model, None, launchd, holder_of)
        status = await _status_or_none(ask)
        if status is not None and await is_ours(status, model, state):
            return status
        if status is not None:
            await _refuse_held_port(model, status, launchd, holder_of)
        await asyncio.sleep(_ASK_EVERY_SECONDS)
    raise WorkerSilent(
        model.name,
        f"it did not answer on port {model.port} within {seconds:g} s of its start. "
        f"See: {logs_command(model.name)}",
    )


async def _status_or_none(ask: Ask) -> WorkerStatus | None:
    try:
        return await ask()
    except (WorkerSilent, RemoteError):
        return None


def _ended(state: AgentState, before: AgentState, *, seen_pid: bool) -> bool:
    """A throttled job that has not run yet is still to come; of what cannot be read nothing is concluded."""
    if not tells_process(state):
        return False
    if seen_pid or (before.runs is not None and state.runs is not None and state.runs > before.runs):
        return True
    return state.process is not ProcessState.THROTTLED


def how_it_ended(state: AgentState) -> str:
    """The rest of a sentence about a process that should run and is not there."""
    if not state.loaded:
        return f"was taken away: launchd has it no more. {LOGIN_ITEMS}"
    return f"ended ({state.last_exit or 'launchd does not say how'})."


async def _left(label: str, pid: int, launchd: Launchd, seconds: float) -> AgentState:
    """The state after this pid is gone, or at the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        state = await asyncio.to_thread(launchd.inspect, label)
        if (tells_process(state) and state.pid != pid) or time.monotonic() >= deadline:
            return state
        await asyncio.sleep(_INSPECT_EVERY_SECONDS / 2)
