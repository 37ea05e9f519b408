"""Agents: is what hub.yaml asks for on disk, what is on disk loaded, and what is loaded running?"""

import os
import stat
from collections.abc import Callable
from pathlib import Path

from mlxhub.core.agents import generation_of
from mlxhub.core.checks import Finding, fail, faults_or, warn
from mlxhub.core.lifecycle import ProcessState
from mlxhub.core.observed import CODE_CHANGED
from mlxhub.core.plan import Ownership
from mlxhub.core.restarts import logs_command, start_command, what_to_do
from mlxhub.errors import LOGIN_ITEMS
from mlxhub.fleet.doctor.found import AgentFound, Found, unknown_without_hub, unknown_without_launchd
from mlxhub.launchd.carry_out import PLIST_MODE

_APPLY = "mlxhub plan shows the difference, mlxhub apply carries it out"
_DOWN = (ProcessState.STOPPED, ProcessState.THROTTLED, ProcessState.FAILED)

Judge = Callable[[AgentFound], Finding | None]


def written(found: Found) -> list[Finding]:
    if found.hub is None:
        return unknown_without_hub("agents there should be")
    if not any(agent.file or agent.unread for agent in found.agents):
        return [fail("Nothing is installed.", "mlxhub install")]
    return faults_or(map(_written, found.agents), f"{len(found.agents)} plist(s) say what hub.yaml says.")


def _written(agent: AgentFound) -> Finding | None:
    if agent.unread is not None:
        return fail(f"{agent.title}: {agent.unread}.", "attach the disk on which they lie, or move them away")
    if agent.desired is None or agent.ownership is not Ownership.OURS:
        return None
    if agent.file is None:
        return fail(f"{agent.title} is not installed: there is no {agent.label}.plist.", "mlxhub install")
    if agent.file.content != agent.desired.plist:
        return warn(f"{agent.title} is installed otherwise than hub.yaml and this version say.", _APPLY)
    return None


def ours(found: Found) -> list[Finding]:
    return faults_or(map(_ours, found.agents), "Every plist is as mlxhub wrote it.")


def _ours(agent: AgentFound) -> Finding | None:
    if agent.file is None or agent.ownership is Ownership.OURS:
        return None
    edited = agent.ownership is Ownership.EDITED
    how = "was edited since mlxhub wrote it" if edited else "was not written by mlxhub"
    return fail(
        f"{agent.file.path} {how}, and so is left as it is.",
        "put what you want into hub.yaml, then: mlxhub install --force",
    )


def file_rights(found: Found) -> list[Finding]:
    faults = (_file_rights(agent, os.getuid()) for agent in found.agents)
    return faults_or(faults, "Every plist is a file of yours with mode 0644.")


def _file_rights(agent: AgentFound, uid: int) -> Finding | None:
    file = agent.file
    if file is None:
        return None
    what = None
    if not file.is_regular:
        what = "is not a regular file"
    elif file.owner != uid:
        what = f"belongs to user {file.owner}"
    elif stat.S_IMODE(file.mode) != PLIST_MODE:
        what = f"has mode {stat.S_IMODE(file.mode):04o}"
    elif not file.properties:
        what = "cannot be read as a property list"
    if what is None:
        return None
    # What is damaged or no file at all is replaced by an install; rights are given back by hand.
    fix = (
        f"chmod 644 '{file.path}'" if what.startswith("has") else f"remove {file.path}, then: mlxhub install"
    )
    return fail(f"{file.path} {what}; launchd wants a file of yours with mode 0644.", fix)


def leftovers(found: Found) -> list[Finding]:
    if found.hub is None:
        return unknown_without_hub("agents are left over")
    faults = (
        warn(f"{agent.label} is installed, but hub.yaml names no such model any more.", "mlxhub apply")
        for agent in found.agents
        if agent.desired is None
    )
    return faults_or(faults, "Nothing is installed that hub.yaml does not name.")


def loaded(found: Found) -> list[Finding]:
    return _each(found, _loaded, "launchd has loaded every agent as its plist says.")


def _loaded(agent: AgentFound) -> Finding | None:
    state = agent.state
    if state is None or (agent.file is None and not state.loaded):
        return None
    if not state.loaded:
        return fail(
            f"{agent.title} is installed, but launchd has not loaded it.", f"mlxhub install. {LOGIN_ITEMS}"
        )
    if agent.unread is not None:
        return None
    on_disk = generation_of(agent.file.content) if agent.file and agent.file.content else None
    if state.generation is not None and state.generation != on_disk:
        return fail(f"{agent.title} runs with another definition than its plist has.", "mlxhub install")
    return None


def place(found: Found) -> list[Finding]:
    return _each(
        found, lambda agent: _place(agent, found.paths.plist(agent.label)), "Loaded from our plists."
    )


def _place(agent: AgentFound, own: Path) -> Finding | None:
    path = agent.state.plist_path if agent.state else None
    if path is None or Path(path).resolve() == own.resolve():
        return None
    return fail(
        f"launchd runs {agent.label} from {path}, which is not this hub's.",
        "give this hub another label_prefix, or uninstall the other one",
    )


def switched_on(found: Found) -> list[Finding]:
    return _each(found, _switched_on, "Nobody switched an agent off.")


def _switched_on(agent: AgentFound) -> Finding | None:
    if not agent.disabled:
        return None
    return fail(f"{agent.label} was switched off with `launchctl disable`.", "mlxhub install")


def running(found: Found) -> list[Finding]:
    return _each(found, _running, "What should run, runs.")


def _running(agent: AgentFound) -> Finding | None:
    state = agent.state
    if state is None or agent.parked or not agent.eager or state.process not in _DOWN or state.broken:
        return None
    if state.process is ProcessState.STOPPED and state.last_exit == "exit 0":
        return warn(
            f"{agent.title} was stopped and stays so until it is started.", start_command(agent.program)
        )
    if state.pended:
        return None
    ended = state.last_exit or "launchd does not say how"
    if state.process is ProcessState.THROTTLED:
        return fail(
            f"{agent.title} ended ({ended}) and waits for its next start.", logs_command(agent.program)
        )
    return fail(f"{agent.title} does not run; its last end: {ended}.", start_command(agent.program))


def parked(found: Found) -> list[Finding]:
    faults = (fail(agent.parked, what_to_do(agent.program)) for agent in found.agents if agent.parked)
    return faults_or(faults, "No agent was parked for dying too often.")


def startable(found: Found) -> list[Finding]:
    return _each(found, _startable, "launchd could start every agent.")


def _startable(agent: AgentFound) -> Finding | None:
    state = agent.state
    if state is None or state.pid is not None:
        return None
    if state.exit_reason is not None and state.exit_reason.startswith(CODE_CHANGED):
        return fail(
            f"{agent.title} was ended by macOS, for its program has changed ({state.exit_reason}).",
            "mlxhub install loads it anew",
        )
    if state.process is ProcessState.FAILED:
        return fail(
            f"{agent.title} has a program that launchd could not start (spawn failed).", "mlxhub install"
        )
    if state.pended:
        return warn(
            f"{agent.title} waits: its session of launchd only starts what is asked for.",
            start_command(agent.program),
        )
    return None


def _each(found: Found, judge: Judge, well: str) -> list[Finding]:
    if found.launchd_fault is not None:
        return unknown_without_launchd()
    return faults_or(map(judge, found.agents), well)
