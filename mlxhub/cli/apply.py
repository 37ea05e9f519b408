"""`mlxhub apply`: carry out what `mlxhub plan` shows."""

import json
from pathlib import Path

import click

from mlxhub.cli.applying import apply_plan
from mlxhub.cli.flash import Tone, flash
from mlxhub.cli.local_hub import LocalHub, find_machine, launchd_of, open_hub
from mlxhub.cli.outcome import failure_as_json, outcome_json, show_outcome, untouched
from mlxhub.cli.plan import plan_hub
from mlxhub.cli.plan_view import show_nothing_to_do, show_plan
from mlxhub.launchd.contract import Launchd


@click.command()
@click.option("--force", is_flag=True, help="Also replace files and agents that are not mlxhub's own.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def apply(file: Path | None, force: bool, as_json: bool) -> None:
    """Bring what launchd runs to what hub.yaml says: one running model at a time, ready before the next."""
    machine = find_machine(file)
    local = open_hub(machine, promise=True)
    for warning in local.warnings:
        flash(Tone.WARN, warning)
    apply_hub(local, launchd_of(machine), force=force, as_json=as_json)


def apply_hub(local: LocalHub, launchd: Launchd, *, force: bool = False, as_json: bool = False) -> None:
    """Says what it does; ends the command with 1 if any of it failed."""
    plan = plan_hub(local, launchd, force=force)
    if not as_json:
        show_plan(plan, unchanged=False)
    with failure_as_json(untouched(plan), local.hub.controller_label, as_json=as_json):
        outcome = apply_plan(local, plan, launchd, force=force)
    show_outcome(outcome, to_stderr=as_json)
    if as_json:
        click.echo(json.dumps(outcome_json(outcome), indent=2))
    elif outcome.ok and not outcome.done and not plan.new_limits:
        show_nothing_to_do(plan)
    for label in plan.down:
        flash(Tone.WARN, f"{label} is as hub.yaml says, and down. Why: mlxhub status")
    if not outcome.ok:
        raise click.exceptions.Exit(1)


COMMANDS = {"apply": apply}
