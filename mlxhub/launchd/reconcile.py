"""Install, reload, repair and uninstall are one function with other inputs: observe, plan, carry out."""

import plistlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mlxhub.core.agents import RenderedAgent
from mlxhub.core.paths import Paths
from mlxhub.core.plan import (
    Bootout,
    Bootstrap,
    Kickstart,
    ObservedAgent,
    Plan,
    RemovePlist,
    Step,
    WritePlist,
    make_plan,
)
from mlxhub.errors import LabelTaken, LaunchdError, PlanFailed
from mlxhub.files.manifest import forget, installed_agents, record
from mlxhub.files.state import (
    hold_lock,
    make_private_directory,
    remove_file,
    require_writable,
    write_atomically,
)
from mlxhub.launchd.contract import Launchd

# launchd refuses plists that others may write; all else is our own.
PLIST_MODE = 0o644
# Each may drain for as long as its ExitTimeOut; one after the other would be too long.
CONCURRENT_BOOTOUTS = 16


def reconcile(
    desired: Mapping[str, RenderedAgent],
    *,
    owns: Callable[[str], bool],
    paths: Paths,
    launchd: Launchd,
    dry_run: bool = False,
) -> Plan:
    """Bring launchd to what is desired and return what that took.

    `owns` narrows the labels of the manifest that may be removed. One reconciliation runs at a time, and one
    that was cut short is finished by the next. An agent that launchd refuses does not keep the others from
    their steps: raises PlanFailed at the end. Raises LabelTaken and
    StateUnwritable before the first step.
    """
    launchd.require_session()
    if dry_run:
        return make_plan(desired, observe(desired, owns=owns, paths=paths, launchd=launchd))
    with hold_lock(paths.lock):
        plan = make_plan(desired, observe(desired, owns=owns, paths=paths, launchd=launchd))
        for directory in (paths.agents, paths.logs, paths.working_directory):
            make_private_directory(directory)
            require_writable(directory)
        _carry_out(plan, paths, launchd)
    return plan


def observe(
    desired: Iterable[str], *, owns: Callable[[str], bool], paths: Paths, launchd: Launchd
) -> dict[str, ObservedAgent]:
    """Every label that is desired or that we once wrote."""
    ours = installed_agents(paths)
    labels = dict.fromkeys([*desired, *(label for label in ours if owns(label))])
    return {label: _observe_one(label, paths, launchd) for label in labels}


def _observe_one(label: str, paths: Paths, launchd: Launchd) -> ObservedAgent:
    plist = paths.plist(label)
    state = launchd.inspect(label)
    if state.plist_path is not None and Path(state.plist_path).resolve() != plist.resolve():
        raise LabelTaken(label, state.plist_path)
    return ObservedAgent(plist=plist.read_bytes() if plist.is_file() else None, state=state)


def _carry_out(plan: Plan, paths: Paths, launchd: Launchd) -> None:
    failures: dict[str, LaunchdError] = {}

    def take(step: Step) -> None:
        if step.label in failures:
            return
        try:
            _take(step, paths, launchd)
        except LaunchdError as error:
            failures[step.label] = error

    with ThreadPoolExecutor(CONCURRENT_BOOTOUTS, "bootout") as threads:
        list(threads.map(take, [step for step in plan.steps if isinstance(step, Bootout)]))
    for step in plan.steps:
        if not isinstance(step, Bootout):
            take(step)
    if failures:
        raise PlanFailed(failures)


def _take(step: Step, paths: Paths, launchd: Launchd) -> None:
    match step:
        case Bootout(label):
            launchd.bootout(label)
        case RemovePlist(label):
            remove_file(paths.plist(label))
            forget(paths, label)
        case WritePlist(label, plist):
            record(paths, label)
            write_atomically(paths.plist(label), plist, mode=PLIST_MODE)
            _touch_private(Path(plistlib.loads(plist)["StandardOutPath"]))
        case Bootstrap(label, generation):
            launchd.enable(label)
            launchd.bootstrap(paths.plist(label), label, generation)
        case Kickstart(label):
            launchd.kickstart(label)


def _touch_private(path: Path) -> None:
    """launchd would create it readable for all, and does not create its directory for sure."""
    make_private_directory(path.parent)
    path.touch(mode=0o600, exist_ok=True)
