"""What became of a plan, as people and as programs read it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import click

from mlxhub.cli.flash import Tone, flash
from mlxhub.cli.plan_view import plan_json
from mlxhub.core.plan import Change, Plan
from mlxhub.errors import MlxhubError

NEXT_STEPS = "Mend the cause and run `mlxhub apply` again, or go back with: mlxhub rollback"
_DONE = {
    Change.ADD: "Added",
    Change.CHANGE: "Changed",
    Change.REWRITE: "Wrote the file of",
    Change.REMOVE: "Removed",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a plan, by label. `kept`: copies of files that were not ours and had to go."""

    plan: Plan
    failed: Mapping[str, MlxhubError] = field(default_factory=dict)
    not_begun: tuple[str, ...] = ()
    kept: tuple[Path, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.failed and not self.not_begun

    @property
    def done(self) -> dict[str, Change]:
        rest = {*self.failed, *self.not_begun}
        changes = self.plan.changes.items()
        return {label: change for label, change in changes if change is not Change.KEEP and label not in rest}


def show_outcome(outcome: Outcome, *, to_stderr: bool = False) -> None:
    """A line for each agent that was changed or failed, and how to go on."""
    for label, change in outcome.done.items():
        flash(Tone.OK, f"{_DONE[change]} {label}.", to_stderr=to_stderr)
    for copy in outcome.kept:
        flash(Tone.INFO, f"What was replaced is kept: {copy}", to_stderr=to_stderr)
    for label, error in outcome.failed.items():
        flash(Tone.ERROR, f"{label}: {error}")
        for line in error.evidence:
            click.echo(f"        {line}", err=True)
    if outcome.not_begun:
        flash(Tone.WARN, f"Not begun: {', '.join(outcome.not_begun)}")
    if not outcome.ok:
        flash(Tone.INFO, NEXT_STEPS, to_stderr=True)


def outcome_json(outcome: Outcome) -> dict[str, object]:
    return plan_json(outcome.plan) | {
        "done": list(outcome.done),
        "failed": [
            {"label": label, "message": str(error), "evidence": error.evidence}
            for label, error in outcome.failed.items()
        ],
        "not_begun": outcome.not_begun,
        "kept": [str(copy) for copy in outcome.kept],
        "next": None if outcome.ok else NEXT_STEPS,
    }
