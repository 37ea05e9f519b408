"""`mlxhub install`."""

import asyncio
import json
from pathlib import Path

import click

from mlxhub.cli.ask import ask_demo
from mlxhub.cli.flash import Tone, flash
from mlxhub.cli.local_hub import (
    LocalHub,
    controller_url,
    ensure_supervisor,
    find_machine,
    launchd_of,
    open_hub,
)
from mlxhub.cli.running import controller_runs, start_controller, workers_run
from mlxhub.clients.hub import HubClient
from mlxhub.core.plan import Change, Plan, make_plan
from mlxhub.errors import PortHeld
from mlxhub.files.manifest import installed_agents
from mlxhub.files.ports import port_holder
from mlxhub.launchd.launchctl import Launchctl
from mlxhub.launchd.reconcile import reconcile

_MARKS = {Change.ADD: "+", Change.CHANGE: "~", Change.REWRITE: "~", Change.REMOVE: "-", Change.KEEP: "="}


@click.command()
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@click.option(
    "--ask", metavar="PROMPT", help="Then ask the demo model this, directly and through the controller."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def install(file: Path | None, dry_run: bool, ask: str | None, as_json: bool) -> None:
    """Make launchd run the controller and the models of hub.yaml. Run it again after every edit."""
    machine = find_machine(file)
    local = open_hub(machine, promise=not dry_run)
    launchd = launchd_of(machine)
    for warning in local.warnings:
        flash(Tone.WARN, warning)
    if dry_run:
        plan = _plan(local, launchd)
        _show(plan, as_json, nothing_to_do=not plan.steps)
        return
    if ensure_supervisor(machine, launchd):
        flash(
            Tone.INFO, f"Started the supervisor; its log: {machine.paths.supervisor_log}", to_stderr=as_json
        )
    _refuse_held_port(local, launchd)
    plan = _plan(local, launchd)
    nothing_to_do = not plan.steps and not _down(local, launchd)
    _show(plan, as_json, nothing_to_do=nothing_to_do)
    if not nothing_to_do:
        _apply(local, plan, launchd)
        _start(local, launchd, as_json)
    if ask is not None:
        ask_demo(local, ask)


def _plan(local: LocalHub, launchd: Launchctl) -> Plan:
    """Where the stand-in does not run yet, nothing is loaded."""
    if local.machine.supervisor is not None and not launchd.has_session():
        return make_plan(local.agents, {})
    return reconcile(local.agents, owns=_all_labels, paths=local.paths, launchd=launchd, dry_run=True)


def _apply(local: LocalHub, plan: Plan, launchd: Launchctl) -> None:
    """A controller that stays changes the workers itself: it would start again what we take away for a while.

    What it leaves undone, agents of an earlier label_prefix for instance, is done here.
    """
    label = local.hub.controller_label
    if plan.changes[label] is Change.KEEP and launchd.inspect(label).pid is not None:
        controller_runs(local, launchd)
        with HubClient(controller_url(local.config, local.paths)) as client:
            client.reload()
    reconcile(local.agents, owns=_all_labels, paths=local.paths, launchd=launchd)


def _start(local: LocalHub, launchd: Launchctl, as_json: bool) -> None:
    """Everything that should run and does not, after somebody stopped it for instance."""
    results = [start_controller(local, launchd)]
    models = [model for model in local.hub.models.values() if model.config.default]
    results += asyncio.run(workers_run(models, launchd))
    for result in results:
        flash(Tone.OK if result.ok else Tone.ERROR, result.message, to_stderr=as_json)
    if not all(result.ok for result in results):
        raise click.exceptions.Exit(1)


def _down(local: LocalHub, launchd: Launchctl) -> list[str]:
    """Agents that should run and do not."""
    return [
        label for label, agent in local.agents.items() if agent.eager and launchd.inspect(label).pid is None
    ]


def _refuse_held_port(local: LocalHub, launchd: Launchctl) -> None:
    """Before the first step: a controller that cannot have its port would only crash and crash."""
    holder = port_holder(local.config.port, local.config.host)
    if holder is None:
        return
    ours = {launchd.inspect(label).pid for label in installed_agents(local.paths)}
    if holder.pid is None or holder.pid not in ours:
        raise PortHeld(local.config.port, holder.pid, holder.command)


def _show(plan: Plan, as_json: bool, *, nothing_to_do: bool) -> None:
    if as_json:
        click.echo(json.dumps({"changes": plan.changes, "nothing_to_do": nothing_to_do}))
        return
    for label, change in plan.changes.items():
        if change is not Change.KEEP:
            note = " (file only, no restart)" if change is Change.REWRITE else ""
            click.echo(f"  {_MARKS[change]} {label}{note}")
    if nothing_to_do:
        flash(Tone.OK, f"Nothing to do: {len(plan.changes)} agent(s) are as hub.yaml says.")


def _all_labels(_label: str) -> bool:
    return True


COMMANDS = {"install": install}
