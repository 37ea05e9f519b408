"""What became of a plan, as people and as programs read it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import click

from mlxhub.cli.flash import Tone, flash
from mlxhub.cli.plan_view import plan_json
from mlxhub.core.plain_text import harmless
from mlxhub.core.plan import Change, Plan
from mlxhub.errors import MlxhubError
from mlxhub.launchd.carry_out import Applied

NEXT_STEPS = "Mend the cause and run `mlxhub apply` again, or go back with: mlxhub rollback"
_FORCE = "Move what is yours away, or have it replaced (a copy is kept) with: mlxhub apply --force"
_DONE = {
    Change.ADD: "Added",
    Change.CHANGE: "Changed",
    Change.REWRITE: "Wrote the file of",
    Change.REMOVE: "Removed",
}


def untouched(plan: Plan) -> Applied:
    """Of a plan that was not begun."""
    touched = [label for label in plan.touched if label not in plan.refusals]
    return Applied(
        plan, {label: MlxhubError(reason) for label, reason in plan.refusals.items()}, tuple(touched), ()
    )


@contextmanager
def failure_as_json(applied: Applied, label: str, *, as_json: bool) -> Iterator[None]:
    """What is raised here ends the command: what became of the plan until then is printed all the same.

    `label`: whose failure it is, where it is not that of a refused agent.
    """
    try:
        yield
    except MlxhubError as error:
        if as_json:
            failed = applied.failed or {label: error}
            click.echo(json.dumps(outcome_json(replace(applied, failed=failed)), indent=2))
        raise


def show_outcome(outcome: Applied, *, to_stderr: bool = False) -> None:
    """A line for each agent that was changed or failed, and how to go on."""
    for label, change in outcome.done.items():
        flash(Tone.OK, f"{_DONE[change]} {label}.", to_stderr=to_stderr)
    if outcome.ok and outcome.plan.new_limits:
        flash(Tone.OK, "memory_limit and groups are as hub.yaml says.", to_stderr=to_stderr)
    for copy in outcome.kept:
        flash(Tone.INFO, f"What was replaced is kept: {copy}", to_stderr=to_stderr)
    for label, error in outcome.failed.items():
        flash(Tone.ERROR, f"{label}: {error}")
        for line in error.evidence:
            click.echo(f"        {harmless(line)}", err=True)
    if outcome.not_begun:
        flash(Tone.WARN, f"Not begun: {', '.join(outcome.not_begun)}")
    if not outcome.ok:
        flash(Tone.INFO, NEXT_STEPS, to_stderr=True)


def outcome_json(outcome: Applied) -> dict[str, object]:
    return plan_json(outcome.plan) | {
        "done": list(outcome.done),
        "failed": [
            {"label": label, "message": str(error), "evidence": error.evidence}
            for label, error in outcome.failed.items()
        ],
        "not_begun": outcome.not_begun,
        "kept": [str(copy) for copy in outcome.kept],
        "next": None if outcome.ok else _FORCE if outcome.plan.refusals else NEXT_STEPS,
    }
