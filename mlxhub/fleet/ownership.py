"""Which worker is ours, and which process on a model's port is not: one rule for looks and for starts."""

import asyncio
from collections.abc import Awaitable, Callable

from mlxhub.core.agents import generation_of
from mlxhub.core.observed import AgentState, PortHolder
from mlxhub.fleet.hub import HubModel
from mlxhub.protocol.worker import WorkerStatus

# `files.ports.port_holder`: who listens on a port.
HolderOf = Callable[[int], PortHolder | None]


def tells_process(agent: AgentState) -> bool:
    """Whether launchd said which process there is, or that there is none: any field of its may be missing."""
    return agent.pid is not None or agent.has_no_process


async def is_ours(
    answer: WorkerStatus, model: HubModel, agent: AgentState | None, *, is_current: bool = True
) -> bool:
    """The pid is the proof. Where launchd tells none, the definition the worker was started with has to do.

    `agent` is what launchd last said; not `is_current`: it says nothing now.
    """
    if agent is not None and agent.pid == answer.pid:
        return True
    if agent is not None and is_current and tells_process(agent):
        return False
    installed = await asyncio.to_thread(installed_generation, model)
    known = {model.generation, installed, None if agent is None else agent.generation}
    return answer.name == model.name and answer.generation in known


async def find_stranger(
    model: HubModel,
    answer: WorkerStatus | None,
    *,
    inspect: Callable[[], Awaitable[AgentState | None]],
    holder_of: HolderOf,
) -> PortHolder | None:
    """Who listens on the model's port and is not ours. `answer` is what the worker on it says, if anything.

    `inspect` asks launchd now, None where it says nothing: our own worker may have been started since
    anybody last looked, and nobody is accused on what was seen before.
    """
    holder = await asyncio.to_thread(holder_of, model.port)
    if holder is None:
        return None
    agent = await inspect()
    own_pid = None if agent is None else agent.pid
    if own_pid is not None and holder.pid == own_pid:
        return None
    if answer is not None:
        return None if await is_ours(answer, model, agent) else holder
    # Our own worker listens before it answers.
    may_be_ours = agent is None or not tells_process(agent) or (own_pid is not None and holder.pid is None)
    return None if may_be_ours else holder


def installed_generation(model: HubModel) -> str | None:
    """Of the plist on disk, which is what a bootstrap loads; None where there is none of ours."""
    try:
        return generation_of(model.plist.read_bytes())
    except OSError:
        return None
