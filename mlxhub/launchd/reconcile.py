"""Install, apply, reload and uninstall are one function with other inputs: observe, plan, carry out."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from mlxhub.core.agents import RenderedAgent, model_of
from mlxhub.core.lifecycle import ProcessState
from mlxhub.core.limits import HubLimits
from mlxhub.core.observed import AgentState
from mlxhub.core.paths import Paths
from mlxhub.core.plan import ObservedAgent, Plan, make_plan
from mlxhub.core.restarts import CONTROLLER
from mlxhub.errors import PlanRefused, StateUnreadable
from mlxhub.files.generations import read_history
from mlxhub.files.launcher import ROLES, install_launchers, remove_launchers, strange_launchers
from mlxhub.files.limits import read_limits, write_limits
from mlxhub.files.locks import hold_lock
from mlxhub.files.manifest import (
    WrittenFile,
    forget,
    installed_agents,
    plist_ownership,
    record_all,
    unlisted_agents,
    written_files,
)
from mlxhub.files.replaced import keep_copy
from mlxhub.files.runs import parked_reason
from mlxhub.files.state import (
    make_private_directory,
    read_whole,
    remove_leftovers,
    require_writable,
)
from mlxhub.launchd.carry_out import Applied, AwaitReady, CarryOut, During, nothing_during
from mlxhub.launchd.contract import Launchd

# Each inspection is a process of its own, which mostly waits.
CONCURRENT_INSPECTIONS = 16

# Writes down what became of the plan.
Remember = Callable[[Applied], None]


def reconcile(
    desired: Mapping[str, RenderedAgent],
    *,
    owns: Callable[[str], bool],
    paths: Paths,
    launchd: Launchd | None,
    await_ready: AwaitReady,
    limits: HubLimits | None = None,
    force: bool = False,
    during: During = nothing_during,
    remember: Remember | None = None,
) -> Applied:
    """Bring launchd to what is desired; what that took, and what of it failed.

    `owns` narrows the labels of ours that may be removed. `launchd` is None where there is no session, so
    that nothing can be loaded. One reconciliation runs at a time, and one that was cut short is finished by
    the next. `limits`: what models may take together from now on, None where this is not about all of them.
    `force`: touch also what is not ours. `remember` is called while nobody else can change the hub.
    Raises PlanRefused, StateUnreadable and StateUnwritable before the first step.
    """
    if launchd is not None:
        launchd.require_session()
    with hold_lock(paths.lock):
        plan = find_plan(desired, owns=owns, paths=paths, launchd=launchd, limits=limits, force=force)
        if plan.refusals:
            raise PlanRefused(plan.refusals)
        copies = [keep_copy(paths, path) for path in (strange_launchers(paths) if desired else [])]
        copies += _adopt_unlisted(desired, paths)
        for directory in (paths.agents, paths.logs, paths.working_directory):
            make_private_directory(directory)
            require_writable(directory)
        own = (paths.manifest, paths.limits, *map(paths.launcher, ROLES))
        for written in (*own, *map(paths.plist, plan.touched)):
            remove_leftovers(written)
        if desired:
            install_launchers(paths, force=force)
        if limits is not None:
            # Before anything starts, which may load at once.
            write_limits(paths.limits, limits)
        applied = CarryOut(paths, launchd, await_ready, during).take(plan)
        _forget_absent(desired, plan, owns=owns, paths=paths)
        if not installed_agents(paths):
            copies += [keep_copy(paths, path) for path in strange_launchers(paths)]
            remove_launchers(paths)
        if remember is not None:
            remember(applied)
    return replace(applied, kept=(*copies, *applied.kept))


def find_plan(
    desired: Mapping[str, RenderedAgent],
    *,
    owns: Callable[[str], bool],
    paths: Paths,
    launchd: Launchd | None,
    limits: HubLimits | None = None,
    force: bool = False,
) -> Plan:
    """What `reconcile` would do; changes nothing. Raises NoSession."""
    if launchd is not None:
        launchd.require_session()
    inspect = _nothing_loaded if launchd is None else launchd.inspect
    observed = observe(desired, owns=owns, paths=paths, inspect=inspect)
    proven = read_history(paths).proven if desired else {}
    strange = strange_launchers(paths) if desired and not force else []
    return replace(
        make_plan(desired, observed, force=force, proven=proven),
        in_the_way={path.name: f"{path} is not as mlxhub wrote it." for path in strange},
        new_limits=limits is not None and _are_others_in_force(limits, paths),
    )


def _are_others_in_force(limits: HubLimits, paths: Paths) -> bool:
    """Before the first install there are none that could change; damaged ones are written anew."""
    try:
        return paths.limits.exists() and read_limits(paths.limits) != limits
    except StateUnreadable:
        return True


def observe(
    desired: Iterable[str], *, owns: Callable[[str], bool], paths: Paths, inspect: Callable[[str], AgentState]
) -> dict[str, ObservedAgent]:
    """Every label that is desired or that we once wrote."""
    files = written_files(paths)
    ours = installed_agents(paths)
    labels = list(dict.fromkeys([*desired, *(label for label in ours if owns(label))]))
    with ThreadPoolExecutor(CONCURRENT_INSPECTIONS, "inspect") as threads:
        states = list(threads.map(inspect, labels))
    return {state.label: _observed(state, paths, files) for state in states}


def _observed(state: AgentState, paths: Paths, files: Iterable[WrittenFile]) -> ObservedAgent:
    plist = paths.plist(state.label)
    elsewhere = state.plist_path is not None and Path(state.plist_path).resolve() != plist.resolve()
    return ObservedAgent(
        plist=read_whole(plist) if plist.is_file() else None,
        state=state,
        ownership=plist_ownership(paths, plist, files),
        path=str(plist),
        loaded_from=state.plist_path if elsewhere else None,
        parked=parked_reason(paths.run_files(model_of(state.label) or CONTROLLER)) is not None,
    )


def _adopt_unlisted(desired: Mapping[str, RenderedAgent], paths: Paths) -> list[Path]:
    """List what looks like ours where the list was lost; copies of all that is not what we would write."""
    found = {label: read_whole(plist) for label, plist in unlisted_agents(paths).items()}
    copies = [
        keep_copy(paths, paths.plist(label))
        for label, content in found.items()
        if label not in desired or desired[label].plist != content
    ]
    if found:
        record_all(paths, [(paths.plist(label), content, label) for label, content in found.items()])
    return copies


def _forget_absent(
    desired: Mapping[str, RenderedAgent], plan: Plan, *, owns: Callable[[str], bool], paths: Paths
) -> None:
    """What is listed and was neither on disk nor loaded: an earlier removal was cut short."""
    absent = [
        paths.plist(label)
        for label in installed_agents(paths)
        if owns(label) and label not in desired and label not in plan.differences
    ]
    if absent:
        forget(paths, *absent)


def _nothing_loaded(label: str) -> AgentState:
    return AgentState(label=label, process=ProcessState.NOT_INSTALLED)
