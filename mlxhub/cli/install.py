"""`mlxhub install`."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import click

from mlxhub.cli.applied import prove_applied
from mlxhub.cli.applying import apply_plan
from mlxhub.cli.ask import ask_demo
from mlxhub.cli.flash import Tone, flash
from mlxhub.cli.local_hub import LocalHub, ensure_supervisor, find_machine, launchd_of, open_hub
from mlxhub.cli.outcome import failure_as_json, outcome_json, show_outcome, untouched
from mlxhub.cli.plan import plan_hub, plan_now, show_found
from mlxhub.cli.plan_view import show_nothing_to_do, show_plan
from mlxhub.cli.running import controller_started, start_controller, worker_started, workers_run
from mlxhub.core.agents import worker_label
from mlxhub.core.plan import Change, Plan
from mlxhub.errors import MlxhubError
from mlxhub.files.keys import make_keys
from mlxhub.launchd.carry_out import Applied
from mlxhub.launchd.contract import Launchd
from mlxhub.launchd.reconcile import CONCURRENT_INSPECTIONS
from mlxhub.protocol.hub import ActionResult


@click.command()
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@click.option("--force", is_flag=True, help="Also replace files and agents that are not mlxhub's own.")
@click.option(
    "--ask", metavar="PROMPT", help="Then ask the demo model this, directly and through the controller."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def install(file: Path | None, dry_run: bool, force: bool, ask: str | None, as_json: bool) -> None:
    """Make launchd run the controller and the models of hub.yaml. Run it again after every edit."""
    machine = find_machine(file)
    local = open_hub(machine, promise=not dry_run)
    launchd = launchd_of(machine)
    for warning in local.warnings:
        flash(Tone.WARN, warning)
    if dry_run:
        show_found(plan_now(local, launchd, force=force), as_json=as_json)
        return
    if ensure_supervisor(local, launchd):
        flash(
            Tone.INFO, f"Started the supervisor; its log: {machine.paths.supervisor_log}", to_stderr=as_json
        )
    make_keys(local.paths.keys)
    plan = plan_hub(local, launchd, force=force)
    if not as_json:
        show_plan(plan, unchanged=False)
    down = _down(local, plan, launchd)
    with failure_as_json(untouched(plan), local.hub.controller_label, as_json=as_json):
        outcome = apply_plan(local, plan, launchd, force=force)
    show_outcome(outcome, to_stderr=as_json)
    with failure_as_json(outcome, local.hub.controller_label, as_json=as_json):
        started = _start(local, launchd, outcome, down) if outcome.ok and (outcome.done or down) else []
    _report(local, outcome, started, as_json=as_json)
    if ask is not None:
        ask_demo(local, ask)


def _down(local: LocalHub, plan: Plan, launchd: Launchd) -> list[str]:
    """Agents that are as they should be and do not run as they should: somebody stopped them, say."""
    kept = [label for label in plan.labels(Change.KEEP, Change.REWRITE) if local.agents[label].eager]
    with ThreadPoolExecutor(CONCURRENT_INSPECTIONS, "inspect") as threads:
        return [state.label for state in threads.map(launchd.inspect, kept) if state.pid is None]


def _start(local: LocalHub, launchd: Launchd, outcome: Applied, down: list[str]) -> list[ActionResult]:
    """What was down runs then too. What the plan started is known to be ready, and only named."""
    models = [model for model in local.hub.models.values() if model.config.default]
    asleep = [model for model in models if model.label in down]
    controller_label = local.hub.controller_label
    if controller_label in outcome.done and controller_label not in down:
        results = [controller_started(local)]
    else:
        results = [start_controller(local, launchd)]
    results += [worker_started(model) for model in models if model not in asleep]
    return results + asyncio.run(workers_run(asleep, launchd, local.trust))


def _report(local: LocalHub, outcome: Applied, started: list[ActionResult], *, as_json: bool) -> None:
    """Ends the command with 1 where not everything runs."""
    for result in started:
        flash(Tone.OK if result.ok else Tone.ERROR, result.message, to_stderr=as_json)
    if as_json:
        nothing = outcome.ok and not outcome.done and not started and not outcome.plan.new_limits
        failures = {each.name: MlxhubError(each.message) for each in started if not each.ok}
        failed = {worker_label(local.config, name): error for name, error in failures.items()}
        told = replace(outcome, failed=outcome.failed | failed)
        click.echo(json.dumps(outcome_json(told) | {"nothing_to_do": nothing}, indent=2))
    elif outcome.ok and not outcome.done and not started and not outcome.plan.new_limits:
        show_nothing_to_do(outcome.plan)
    runs = outcome.ok and all(result.ok for result in started)
    if started and runs:
        prove_applied(local)
    if not runs:
        raise click.exceptions.Exit(1)


COMMANDS = {"install": install}
