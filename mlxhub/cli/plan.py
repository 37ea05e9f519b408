"""`mlxhub plan`: what `mlxhub apply` would do."""

import json
from pathlib import Path

import click

from mlxhub.cli.flash import Tone, flash
from mlxhub.cli.local_hub import LocalHub, find_machine, is_supervisor_absent, launchd_of, open_hub
from mlxhub.cli.plan_view import plan_json, show_plan, show_summary
from mlxhub.core.plan import Plan
from mlxhub.launchd.contract import Launchd
from mlxhub.launchd.launchctl import Launchctl
from mlxhub.launchd.reconcile import find_plan


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def plan(file: Path | None, as_json: bool) -> None:
    """Show how hub.yaml differs from what launchd runs (+ ~ - =), and what would restart. Changes nothing."""
    machine = find_machine(file)
    local = open_hub(machine)
    for warning in local.warnings:
        flash(Tone.WARN, warning)
    show_found(plan_now(local, launchd_of(machine)), as_json=as_json)


def plan_now(local: LocalHub, launchd: Launchctl, *, force: bool = False) -> Plan:
    """Where the stand-in does not run yet, nothing is loaded."""
    absent = is_supervisor_absent(local.machine)
    return plan_hub(local, None if absent else launchd, force=force)


def plan_hub(local: LocalHub, launchd: Launchd | None, *, force: bool = False) -> Plan:
    """`launchd` is None where there is no session, so that nothing is loaded."""
    return find_plan(
        local.agents,
        owns=all_labels,
        paths=local.paths,
        launchd=launchd,
        limits=local.limits,
        force=force,
    )


def all_labels(_label: str) -> bool:
    """Of ours: whatever is installed and not in hub.yaml goes."""
    return True


def show_found(found: Plan, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(plan_json(found), indent=2))
    else:
        show_plan(found, unchanged=True)
        show_summary(found)


COMMANDS = {"plan": plan}
