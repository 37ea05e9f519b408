"""Carrying a plan out from the command line: by the controller as far as it can, and by this process."""

from collections.abc import Mapping

from mlxhub.cli.applied import remember_applied
from mlxhub.cli.local_hub import LocalHub, controller_url
from mlxhub.cli.outcome import Outcome
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
from mlxhub.launchd.reconcile import reconcile
from mlxhub.protocol.hub import ReloadResult


def apply_plan(local: LocalHub, plan: Plan, launchd: Launchd, *, force: bool = False) -> Outcome:
    """Bring the whole hub to what hub.yaml says; a generation to go back to, if it came to its end.

    A controller that runs changes the workers itself: it would start again what we take away for a while. One
    that must change comes first and then does the same. Raises PlanRefused, PortHeld and whatever keeps all
    of it from beginning.
    """
    if plan.refusals:
        raise PlanRefused(plan.refusals)
    refuse_held_port(local, launchd)
    outcome = _carry_out(local, plan, launchd, force=force)
    if not outcome.not_begun:
        remember_applied(local, plan, good=outcome.ok)
    return outcome


def refuse_held_port(local: LocalHub, launchd: Launchd) -> None:
    """Before the first step: a controller that cannot have its port would only crash and crash."""
    holder = port_holder(local.config.port, local.config.host)
    if holder is None:
        return
    # Controllers first: mostly it is the one that runs, and each inspection is a process.
    labels = sorted(installed_agents(local.paths), key=lambda label: model_of(label) is not None)
    if holder.pid is None or all(launchd.inspect(label).pid != holder.pid for label in labels):
        raise PortHeld(local.config.port, holder.pid, holder.command)


def _carry_out(local: LocalHub, plan: Plan, launchd: Launchd, *, force: bool) -> Outcome:
    label = local.hub.controller_label
    by_controller = not force and _controller_stays(label, plan, launchd)
    if not force and _controller_comes_first(label, plan):
        first = _reconcile(local, {label: local.agents[label]}, launchd, only=label)
        if first.failed:
            rest = [each for each in plan.touched if each != label]
            return Outcome(plan, first.failed, tuple(rest))
        by_controller = True
    if by_controller:
        controller_runs(local, launchd)
        with HubClient(controller_url(local.config, local.paths)) as client:
            result = client.reload()
        outcome = _reloaded(local, plan, result)
        if not outcome.ok or not _beyond_the_controller(local, plan):
            return outcome
    applied = _reconcile(local, local.agents, launchd, force=force)
    return Outcome(plan, applied.failed, applied.not_begun, applied.kept)


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
    return reconcile(
        desired,
        owns=all_labels if only is None else lambda label: label == only,
        paths=local.paths,
        launchd=launchd,
        await_ready=await_ready_of(local.hub, launchd, lambda: controller_runs(local, launchd)),
        force=force,
    )


def _reloaded(local: LocalHub, plan: Plan, result: ReloadResult) -> Outcome:
    failed: dict[str, MlxhubError] = {}
    for failure in result.failed:
        error = MlxhubError(failure.message)
        error.evidence = tuple(failure.evidence)
        failed[worker_label(local.config, failure.name)] = error
    return Outcome(plan, failed, tuple(worker_label(local.config, name) for name in result.not_begun))
