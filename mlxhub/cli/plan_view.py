"""A plan, as people and as programs read it."""

import click

from mlxhub.cli.flash import Tone, flash
from mlxhub.core.differences import KeyChange
from mlxhub.core.plan import Change, Difference, Effect, Plan

_MARKS = {
    Change.ADD: ("+", "green"),
    Change.CHANGE: ("~", "yellow"),
    Change.REWRITE: ("~", "yellow"),
    Change.REMOVE: ("-", "red"),
    Change.KEEP: ("=", "bright_black"),
    Change.REFUSE: ("!", "bright_red"),
}
_NOTES = {
    (Change.ADD, Effect.STARTS): "starts",
    (Change.ADD, Effect.NONE): "starts when it is asked for",
    (Change.CHANGE, Effect.RESTARTS): "restarts",
    (Change.CHANGE, Effect.STARTS): "starts",
    (Change.CHANGE, Effect.NONE): "is down and stays so",
    (Change.REWRITE, Effect.NONE): "file only, no restart",
    (Change.REMOVE, Effect.STOPS): "stops",
}


def show_plan(plan: Plan, *, unchanged: bool) -> None:
    """One line an agent and one a changed key. `unchanged`: also what is as it should be."""
    for label, difference in plan.differences.items():
        if difference.change is Change.KEEP and not unchanged:
            continue
        mark, colour = _MARKS[difference.change]
        note = _note(difference, is_down=label in plan.down)
        click.echo(f"  {click.style(mark, fg=colour)} {label}{f'  ({note})' if note else ''}")
        for key in difference.keys:
            click.echo(f"      {_key_line(key)}")
    if plan.new_limits:
        click.echo(f"  {click.style('~', fg='yellow')} limits  (memory_limit and groups, no restart)")
    for name, reason in plan.in_the_way.items():
        click.echo(f"  {click.style('!', fg='bright_red')} {name}  ({reason})")


def show_nothing_to_do(plan: Plan) -> None:
    flash(Tone.OK, f"Nothing to do: {len(plan.changes)} agent(s) are as hub.yaml says.")


def show_summary(plan: Plan) -> None:
    if plan.refusals:
        flash(
            Tone.WARN,
            "What is marked ! is not mlxhub's to touch. Have it replaced with: mlxhub apply --force",
        )
    if plan.nothing_to_do:
        show_nothing_to_do(plan)
        return
    counts = ", ".join(
        f"{len(plan.labels(*changes))} to {verb}"
        for verb, changes in (
            ("add", (Change.ADD,)),
            ("change", (Change.CHANGE, Change.REWRITE)),
            ("remove", (Change.REMOVE,)),
        )
    )
    limits = ", and new limits" if plan.new_limits else ""
    flash(Tone.INFO, f"{counts}{limits}. Carry it out with: mlxhub apply")


def plan_json(plan: Plan) -> dict[str, object]:
    return {
        "changes": plan.changes,
        "agents": [
            {
                "label": label,
                "change": difference.change,
                "process": difference.effect,
                "down": label in plan.down,
                "keys": [
                    {"key": key.key, "before": key.before, "after": key.after} for key in difference.keys
                ],
                "refusal": difference.refusal,
            }
            for label, difference in plan.differences.items()
        ],
        "stages": [stage.labels for stage in plan.stages],
        "new_limits": plan.new_limits,
        "refusals": plan.refusals,
        "nothing_to_do": plan.nothing_to_do,
    }


def _note(difference: Difference, *, is_down: bool) -> str:
    if difference.refusal is not None:
        return difference.refusal
    if difference.change is Change.KEEP and is_down:
        return "is down, see: mlxhub status"
    return _NOTES.get((difference.change, difference.effect), "")


def _key_line(change: KeyChange) -> str:
    if change.before is None and change.after is None:
        return change.key
    return f"{change.key}: {change.before or '(none)'} -> {change.after or '(none)'}"
