"""Carrying a plan out from the command line: by the controller as far as it can, and by this process."""

from collections.abc import Mapping
from dataclasses import replace

from mlxhub.cli.applied import remember_applied
from mlxhub.cli.local_hub import LocalHub
from mlxhub.cli.plan import all_labels
from mlxhub.cli.readiness import await_ready_of
from mlxhub.cli.running import controller_runs
from mlxhub.clients.hub import HubClient
from mlxhub.core.agents import RenderedAgent, model_of, worker_label
from mlxhub.core.lifecycle import ProcessState
from mlxhub.core.plan import Bootout, Change, Plan
from mlxhub.errors import MlxhubError, PlanRefused, PortHeld
from mlxhub.files.manifest import installed_agents
from mlxhub.files.ports import port_holder
from mlxhub.launchd.carry_out import Applied
from mlxhub.launchd.contract import Launchd
from mlxhub.launchd.reconcile import Remember, reconcile
from mlxhub.protocol.hub import ReloadResult


def apply_plan(local: LocalHub, plan: Plan, launchd: Launchd, *, force: bool = False) -> Applied:
    """Bring the whole hub to what hub.yaml says; a generation to go back to, if it came to its end.

    A controller that runs changes the workers itself: it would start again what we take away for a while. One
    that must change comes first and then does the same. Whoever carries it out writes down that generation.
    Raises PlanRefused, PortHeld and whatever keeps all of it from beginning.
    """
    refuse_plan(local, plan, launchd)
    label = local.hub.controller_label
    pid = launchd.inspect(label).pid
    by_controller = not force and _controller_stays(label, plan, launchd)
    if not force and _controller_comes_first(label, plan):
        first = _reconcile(local, {label: local.agents[label]}, launchd, only=label)
        if first.failed:
            rest = [each for each in plan.touched if each != label]
            return Applied(plan, first.failed, tuple(rest), first.kept)
        by_controller = True
    if by_controller:
        applied = _reloaded(local, plan, _reload(local, launchd))
        if not applied.ok or not _beyond_the_controller(local, plan):
            return applied
    applied = replace(_reconcile(local, local.agents, launchd, force=force), plan=plan)
    if not by_controller and pid is not None and launchd.inspect(label).pid == pid:
        return _told(local, applied, launchd)
    return applied


def refuse_plan(local: LocalHub, plan: Plan, launchd: Launchd) -> None:
    """What can be known before the first step to stand against it. Raises PlanRefused and PortHeld."""
    if plan.refusals:
        raise PlanRefused(plan.refusals)
    _refuse_held_port(local, launchd)


def _refuse_held_port(local: LocalHub, launchd: Launchd) -> None:
    """A controller that cannot have its port would only crash and crash."""
    holder = port_holder(local.config.port, local.config.host)
    if holder is None:
        return
    # Controllers first: mostly it is the one that runs, and each inspection is a process.
    labels = sorted(installed_agents(local.paths), key=lambda label: model_of(label) is not None)
    # A system may keep the holder's pid to itself: then a controller of ours that runs is believed to be it.
    ours = (launchd.inspect(label).pid for label in labels)
    if not any(pid is not None and holder.pid in (pid, None) for pid in ours):
        raise PortHeld(local.config.port, holder.pid, holder.command)


def _controller_stays(label: str, plan: Plan, launchd: Launchd) -> bool:
    if plan.changes[label] not in (Change.KEEP, Change.REWRITE):
        return False
    return launchd.inspect(label).process is ProcessState.RUNNING


def _controller_comes_first(label: str, plan: Plan) -> bool:
    """No worker has to leave its port for it, and none of another hub of ours goes."""
    stopping = [stage for stage in plan.stages if any(isinstance(step, Bootout) for step in stage.steps)]
    return bool(stopping) and stopping[0].gates and stopping[0].labels == (label,)


def _beyond_the_controller(local: LocalHub, plan: Plan) -> list[str]:
    """Agents that a reload leaves as they are: of another label_prefix, and the controller's file."""
    workers = worker_label(local.config, "")
    done = [local.hub.controller_label] if _controller_comes_first(local.hub.controller_label, plan) else []
    return [label for label in plan.touched if not label.startswith(workers) and label not in done]


def _reconcile(
    local: LocalHub,
    desired: Mapping[str, RenderedAgent],
    launchd: Launchd,
    *,
    only: str | None = None,
    force: bool = False,
) -> Applied:
    """A part of the hub is no generation of it."""
    return reconcile(
        desired,
        owns=all_labels if only is None else lambda label: label == only,
        paths=local.paths,
        launchd=launchd,
        await_ready=await_ready_of(local.hub, launchd, local.trust, lambda: controller_runs(local, launchd)),
        limits=local.limits if only is None else None,
        force=force,
        remember=_remember_whole(local) if only is None else None,
    )


def _remember_whole(local: LocalHub) -> Remember:
    def remember(applied: Applied) -> None:
        if not applied.not_begun:
            remember_applied(local, applied.plan, good=applied.ok)

    return remember


def _reload(local: LocalHub, launchd: Launchd) -> ReloadResult:
    controller_runs(local, launchd)
    return HubClient(local.controller).reload()


def _told(local: LocalHub, applied: Applied, launchd: Launchd) -> Applied:
    """A controller that ran all along still routes by the hub.yaml of before."""
    try:
        reloaded = _reloaded(local, applied.plan, _reload(local, launchd))
    except MlxhubError as error:
        return replace(applied, failed={local.hub.controller_label: error} | applied.failed)
    not_begun = dict.fromkeys([*applied.not_begun, *reloaded.not_begun])
    return replace(applied, failed=reloaded.failed | applied.failed, not_begun=tuple(not_begun))


def _reloaded(local: LocalHub, plan: Plan, result: ReloadResult) -> Applied:
    failed: dict[str, MlxhubError] = {}
    for failure in result.failed:
        error = MlxhubError(failure.message)
        error.evidence = tuple(failure.evidence)
        failed[worker_label(local.config, failure.name)] = error
    return Applied(plan, failed, tuple(worker_label(local.config, name) for name in result.not_begun), ())
