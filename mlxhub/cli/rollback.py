"""`mlxhub rollback`: back to a hub.yaml that was applied before, step by step."""

import json
from datetime import datetime
from pathlib import Path

import click

from mlxhub.cli.apply import apply_hub
from mlxhub.cli.applying import refuse_plan
from mlxhub.cli.flash import Tone, flash
from mlxhub.cli.local_hub import find_machine, hub_of, launchd_of
from mlxhub.cli.outcome import failure_as_json, untouched
from mlxhub.cli.plan import plan_hub
from mlxhub.core.config import parse_config
from mlxhub.errors import ConfigError, MlxhubError
from mlxhub.files.generations import Generation, History, read_history, return_to
from mlxhub.files.machine import is_testing
from mlxhub.files.replaced import free_name
from mlxhub.files.state import write_atomically

_LIST_HINT = "What there is: mlxhub rollback --list"


@click.command()
@click.option("--to", "number", type=int, metavar="N", help="This generation, whether it was good or not.")
@click.option("--list", "list_only", is_flag=True, help="Show the generations there are, and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def rollback(file: Path | None, number: int | None, list_only: bool, as_json: bool) -> None:
    """Put the hub.yaml of the last good generation back in force. Again: one step further back."""
    machine = find_machine(file)
    history = read_history(machine.paths)
    if list_only:
        _show(history, as_json=as_json)
        return
    launchd = launchd_of(machine)
    launchd.require_session()
    present = _read(machine.paths.config)
    target = _target(history, number, present)
    local = hub_of(target.hub_yaml, machine, promise=True)
    plan = plan_hub(local, launchd)
    with failure_as_json(untouched(plan), local.hub.controller_label, as_json=as_json):
        refuse_plan(local, plan, launchd)
    copy = _put_in_force(machine.paths.config, target, present, history)
    return_to(machine.paths, target.number)
    flash(
        Tone.OK,
        f"hub.yaml is again what generation {target.number} of {_when(target)} had."
        + ("" if copy is None else f" The present one is kept: {copy}"),
        to_stderr=as_json,
    )
    apply_hub(local, launchd, as_json=as_json)


def _target(history: History, number: int | None, present: bytes | None) -> Generation:
    """Raises MlxhubError where there is nothing to go back to."""
    if number is not None:
        found = history.find(number)
        if found is None:
            raise MlxhubError(f"There is no generation {number} here. {_LIST_HINT}")
        return found
    found = history.before("" if present is None else present.decode(errors="replace"))
    if found is None:
        raise MlxhubError(f"There is no earlier good generation to go back to. {_LIST_HINT}")
    return found


def _put_in_force(config: Path, target: Generation, present: bytes | None, history: History) -> Path | None:
    """Where the present file is kept; None where there was none or it is the same."""
    wanted = target.hub_yaml.encode()
    if present == wanted:
        return None
    place = config.resolve()  # a link to a file elsewhere stays one
    copy = None
    if present is not None:
        copy = config.with_name(f"{config.name}.before-rollback")
        known = {each.hub_yaml.encode() for each in history.generations}
        if copy.exists() and copy.read_bytes() not in known:
            copy = free_name(copy, present)
        write_atomically(copy, present)
    write_atomically(place, wanted, mode=place.stat().st_mode & 0o777 if place.exists() else 0o600)
    return copy


def _read(config: Path) -> bytes | None:
    try:
        return config.read_bytes()
    except FileNotFoundError:
        return None


def _show(history: History, *, as_json: bool) -> None:
    if as_json:
        listed = [
            {
                "number": each.number,
                "after": each.after,
                "time": each.time,
                "good": each.good,
                "in_force": each.number == history.current,
                "models": _models(each),
            }
            for each in history.generations
        ]
        click.echo(json.dumps({"generations": listed}, indent=2))
        return
    if not history.generations:
        flash(Tone.INFO, "Nothing was applied yet.")
    for each in reversed(history.generations):
        mark = "*" if each.number == history.current else " "
        good = "good" if each.good else "not all ready"
        came = "" if each.after is None else f", after {each.after}"
        click.echo(f"{mark} {each.number:>3}  {_when(each)}  {good}{came}: {', '.join(_models(each))}")


def _models(generation: Generation) -> list[str]:
    """An older one may say what this version does not know."""
    try:
        return [model.name for model in parse_config(generation.hub_yaml, testing=is_testing()).models]
    except ConfigError:
        return []


def _when(generation: Generation) -> str:
    return datetime.fromtimestamp(generation.time).astimezone().strftime("%Y-%m-%d %H:%M:%S")


COMMANDS = {"rollback": rollback}
