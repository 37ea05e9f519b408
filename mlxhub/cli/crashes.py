"""`mlxhub crashes`: what became of each process, from what the processes wrote down and from launchd."""

import contextlib
import json
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import click

from mlxhub.cli.completion import complete_model
from mlxhub.cli.flash import Tone, flash
from mlxhub.cli.local_hub import config_in_force, find_machine, launchd_of
from mlxhub.cli.tables import duration
from mlxhub.core.agents import controller_label, worker_label
from mlxhub.core.config import HubConfig
from mlxhub.core.paths import Paths, RunFiles
from mlxhub.core.plain_text import harmless
from mlxhub.core.restarts import CONTROLLER, Run, noticed, title
from mlxhub.errors import LaunchdError, StateUnreadable, UnknownModel
from mlxhub.files.log_reading import tail
from mlxhub.files.runs import EVIDENCE_LINES, is_alive, parked_reason, read_runs
from mlxhub.launchd.contract import Launchd

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class _Record:
    """Of one process. `deaths` with the newest first, `parked`: why it stays down."""

    name: str
    parked: str | None
    deaths: list[Run]
    log: list[str]
    last_words: list[str]


@click.command()
@click.argument("model", required=False, shell_complete=complete_model)
@click.option(
    "-n", "--last", default=_SHOWN, show_default=True, type=click.IntRange(1), help="So many of each process."
)
@click.option("-v", "--verbose", is_flag=True, help="With the last lines of the logs; so with MODEL.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def crashes(file: Path | None, model: str | None, last: int, verbose: bool, as_json: bool) -> None:
    """Show when and how the process of each model (or of MODEL, or of the controller) died."""
    machine = find_machine(file)
    config, faults = config_in_force(machine)
    for fault in faults:
        flash(Tone.WARN, str(fault))
    paths = machine.paths.with_logs(config.log_path, machine.home)
    labels = _labels(config, model)
    launchd = launchd_of(machine)
    records = [_record(paths.run_files(name), label, launchd, last) for name, label in labels.items()]
    if as_json:
        click.echo(json.dumps({"processes": [_as_json(record) for record in records]}, indent=2))
        return
    for record in records:
        _show(record, paths, with_logs=verbose or model is not None)
    if not any(record.deaths or record.parked for record in records):
        flash(Tone.OK, f"No crash is on record of {', '.join(labels)}.")


def _labels(config: HubConfig, model: str | None) -> dict[str, str]:
    labels = {CONTROLLER: controller_label(config)}
    labels |= {entry.name: worker_label(config, entry.name) for entry in config.models}
    if model is None:
        return labels
    found = config.find(model)
    name = model if found is None else found.name
    if name not in labels:
        raise UnknownModel(model, tuple(labels))
    return {name: labels[name]}


def _record(files: RunFiles, label: str, launchd: Launchd, last: int) -> _Record:
    try:
        runs = read_runs(files)
    except StateUnreadable as error:
        flash(Tone.WARN, f"{error.path} cannot be read ({error.reason}): earlier ends are unknown.")
        runs = ()
    if runs and runs[-1].ended_at is None and not is_alive(files):
        runs = noticed(runs, time.time(), _last_exit(label, launchd))
    return _Record(
        name=files.name,
        parked=parked_reason(files),
        deaths=[run for run in reversed(runs) if run.died][:last],
        log=tail(files.log, EVIDENCE_LINES),
        last_words=tail(files.last_words, EVIDENCE_LINES),
    )


def _last_exit(label: str, launchd: Launchd) -> str | None:
    """Of a process whose end nobody has written down yet, launchd may know more."""
    with contextlib.suppress(LaunchdError):
        return launchd.inspect(label).last_exit
    return None


def _show(record: _Record, paths: Paths, *, with_logs: bool) -> None:
    if not record.deaths and record.parked is None:
        return
    click.echo(title(record.name))
    for run in record.deaths:
        reason = f": {run.reason}" if run.reason else ""
        click.echo(
            f"  {_moment(run)}  {run.ending or 'nobody knows how'}, ran {_lived(run)}{harmless(reason)}"
        )
    if with_logs:
        for path, lines in (
            (paths.log(record.name), record.log),
            (paths.last_words(record.name), record.last_words),
        ):
            if lines:
                click.echo("\n".join([f"  --- {path}", *(f"  {harmless(line)}" for line in lines)]))
    if record.parked is not None:
        flash(Tone.ERROR, record.parked)


def _moment(run: Run) -> str:
    """When it ended, or else was noticed, in the time of whoever reads it."""
    return datetime.fromtimestamp(run.ended_at or run.started_at).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _lived(run: Run) -> str:
    lived = (run.ended_at or run.started_at) - run.started_at
    return duration(lived) if run.exact else f"at most {duration(lived)}"


def _as_json(record: _Record) -> dict[str, object]:
    return {
        "name": record.name,
        "parked": record.parked,
        "deaths": [
            {
                "pid": run.pid,
                "started_at": run.started_at,
                "ended_at": run.ended_at,
                "exact": run.exact,
                "exit": run.ending,
                "reason": run.reason,
                "forgiven": run.forgiven,
            }
            for run in record.deaths
        ],
        "log": record.log,
        "last_words": record.last_words,
    }


COMMANDS = {"crashes": crashes}
