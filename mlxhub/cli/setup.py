"""`mlxhub init`, `install`, `uninstall`."""

import asyncio
import contextlib
import json
import shutil
from pathlib import Path

import click

from mlxhub.cli.ask import ask_once
from mlxhub.cli.flash import Tone, flash
from mlxhub.cli.initial import initial_hub_yaml
from mlxhub.cli.local_hub import (
    LocalHub,
    controller_url,
    ensure_supervisor,
    find_machine,
    launchd_of,
    open_hub,
)
from mlxhub.cli.running import controller_runs, workers_run
from mlxhub.clients.hub import HubClient
from mlxhub.core.agents import controller_label
from mlxhub.core.lifecycle import ProcessState
from mlxhub.core.plan import Change, Plan, make_plan
from mlxhub.errors import MlxhubError, PortHeld
from mlxhub.files.machine import Machine
from mlxhub.files.manifest import read_manifest
from mlxhub.files.ports import is_free, port_holder
from mlxhub.files.state import write_atomically
from mlxhub.launchd.launchctl import Launchctl
from mlxhub.launchd.reconcile import reconcile
from mlxhub.launchd.supervisor import end_supervisor

_MARKS = {Change.ADD: "+", Change.CHANGE: "~", Change.REWRITE: "~", Change.REMOVE: "-", Change.KEEP: "="}


@click.command()
@click.option(
    "--force", is_flag=True, help="Replace a hub.yaml that is there; the old one is kept beside it."
)
@click.option("--if-missing", is_flag=True, help="Do nothing where there is a hub.yaml.")
@click.pass_obj
def init(file: Path | None, force: bool, if_missing: bool) -> None:
    """Write a commented hub.yaml with the built-in demo model."""
    path = find_machine(file).paths.config
    if path.exists() and if_missing:
        flash(Tone.INFO, f"{path} is there already and stays as it is.")
        return
    if path.exists() and not force:
        raise MlxhubError(f"{path} is there already. Replace it with: mlxhub init --force")
    if path.exists():
        kept = path.with_suffix(".yaml.before-init")
        path.replace(kept)
        flash(Tone.INFO, f"The old hub.yaml is now {kept}.")
    write_atomically(path, initial_hub_yaml(is_free).encode())
    flash(Tone.OK, f"Wrote {path}. Start it with: mlxhub install")


@click.command()
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@click.option(
    "--ask",
    metavar="PROMPT",
    help="Then ask the first model this, at its own port and through the controller.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def install(file: Path | None, dry_run: bool, ask: str | None, as_json: bool) -> None:
    """Make launchd run the controller and the models of hub.yaml. Run it again after every edit."""
    machine = find_machine(file)
    local = open_hub(machine)
    launchd = launchd_of(machine)
    for warning in local.warnings:
        flash(Tone.WARN, warning)
    if dry_run:
        _show_plan(_dry_plan(local, launchd), as_json)
        return
    if ensure_supervisor(machine, launchd):
        flash(
            Tone.INFO, f"Started the supervisor; its log: {machine.paths.supervisor_log}", to_stderr=as_json
        )
    _refuse_held_port(local, launchd)
    plan = reconcile(local.agents, owns=lambda _label: True, paths=local.paths, launchd=launchd)
    _show_plan(plan, as_json)
    if plan.steps:
        _wait_for_what_started(local, plan, launchd, as_json)
    if ask is not None:
        ask_once(local, ask)
    elif plan.steps and not as_json:
        flash(Tone.INFO, "Next: mlxhub status")


@click.command()
@click.option("--purge", is_flag=True, help="Also remove hub.yaml, logs, state and promised ports.")
@click.pass_obj
def uninstall(file: Path | None, purge: bool) -> None:
    """Stop everything and remove what install wrote; hub.yaml and logs stay unless --purge."""
    machine = find_machine(file)
    paths = machine.paths
    launchd = launchd_of(machine)
    removed = len(read_manifest(paths.manifest))
    if launchd.has_session():
        reconcile({}, owns=lambda _label: True, paths=paths, launchd=launchd)
    else:  # nothing can be loaded where there is no session: only files are left
        for entry in read_manifest(paths.manifest).values():
            entry.path.unlink(missing_ok=True)
    if machine.supervisor is not None:
        end_supervisor(paths)
        shutil.rmtree(paths.supervisor, ignore_errors=True)
    for leftover in (paths.manifest, paths.lock, paths.ports.with_suffix(".lock")):
        leftover.unlink(missing_ok=True)
    if purge:
        _purge(machine)
    for directory in (paths.working_directory, paths.agents, paths.state, paths.logs, paths.config.parent):
        _remove_if_empty(directory, keep=machine.home)
    flash(Tone.OK, f"Removed {removed} agent(s)." if removed else "Nothing was installed.")


def _dry_plan(local: LocalHub, launchd: Launchctl) -> Plan:
    """Where the stand-in does not run yet, nothing is loaded."""
    if local.machine.supervisor is not None and not launchd.has_session():
        return make_plan(local.agents, {})
    return reconcile(local.agents, owns=lambda _label: True, paths=local.paths, launchd=launchd, dry_run=True)


def _refuse_held_port(local: LocalHub, launchd: Launchctl) -> None:
    """Before the first step: a controller that cannot have its port would only crash and crash."""
    state = launchd.inspect(controller_label(local.config))
    if state.process is ProcessState.RUNNING or is_free(local.config.port, local.config.host):
        return
    holder = port_holder(local.config.port)
    raise PortHeld(local.config.port, holder.pid if holder else None, holder.command if holder else None)


def _show_plan(plan: Plan, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"changes": plan.changes, "nothing_to_do": not plan.steps}))
        return
    for label, change in plan.changes.items():
        if change is not Change.KEEP:
            note = " (file only, no restart)" if change is Change.REWRITE else ""
            click.echo(f"  {_MARKS[change]} {label}{note}")
    if not plan.steps:
        flash(Tone.OK, f"Nothing to do: {len(plan.changes)} agent(s) are as hub.yaml says.")


def _wait_for_what_started(local: LocalHub, plan: Plan, launchd: Launchctl, as_json: bool) -> None:
    """Raises the first failure after everything has been said."""
    started = plan.labels(Change.ADD, Change.CHANGE)
    if local.hub.controller_label in started:
        controller_runs(local, launchd)
        flash(Tone.OK, f"The controller runs at {controller_url(local.config)}", to_stderr=as_json)
    else:
        with HubClient(controller_url(local.config)) as client:
            client.reload()
    models = [model for model in local.hub.models.values() if model.label in started and model.config.default]
    results = asyncio.run(workers_run(models, launchd))
    for result in results:
        flash(Tone.OK if result.ok else Tone.ERROR, result.message, to_stderr=as_json)
    if not all(result.ok for result in results):
        raise click.exceptions.Exit(1)


def _purge(machine: Machine) -> None:
    """Only directories that are ours by name; a log_path of the user's own choice is not."""
    shutil.rmtree(machine.paths.state, ignore_errors=True)
    shutil.rmtree(machine.paths.logs, ignore_errors=True)
    machine.paths.config.unlink(missing_ok=True)


def _remove_if_empty(directory: Path, *, keep: Path) -> None:
    if directory not in (keep, keep / "Library/LaunchAgents"):
        with contextlib.suppress(OSError):
            directory.rmdir()


COMMANDS = {"init": init, "install": install, "uninstall": uninstall}
