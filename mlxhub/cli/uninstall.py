"""`mlxhub uninstall`: works without a hub.yaml, by the list of what was written."""

import contextlib
import shutil
from pathlib import Path

import click

from mlxhub.cli.flash import Tone, flash
from mlxhub.cli.local_hub import find_machine, launchd_of
from mlxhub.cli.plan import all_labels
from mlxhub.core.paths import Paths
from mlxhub.core.plan import Change
from mlxhub.errors import MlxhubError, PlanFailed
from mlxhub.files.connections import connected_clients, disconnect_client
from mlxhub.files.machine import Machine
from mlxhub.files.manifest import installed_agents
from mlxhub.launchd.reconcile import reconcile
from mlxhub.launchd.supervisor import end_supervisor


@click.command()
@click.option("--purge", is_flag=True, help="Also remove hub.yaml, logs, state and promised ports.")
@click.pass_obj
def uninstall(file: Path | None, purge: bool) -> None:
    """Stop everything and remove what install wrote; hub.yaml, logs and promised ports stay."""
    machine = find_machine(file)
    paths = machine.paths
    launchd = launchd_of(machine)
    installed = installed_agents(paths)
    applied = reconcile(
        {},
        owns=all_labels,
        paths=paths,
        # Nothing can be loaded where there is no session: only files are left.
        launchd=launchd if launchd.has_session() else None,
        await_ready=_nothing_starts,
        force=True,
    )
    for copy in applied.kept:
        flash(Tone.INFO, f"{copy.name} may be somebody's work: a copy is kept: {copy}")
    if applied.failed:
        raise PlanFailed(applied.failed)
    if machine.supervisor is not None:
        end_supervisor(paths)
        shutil.rmtree(paths.supervisor, ignore_errors=True)
    _remove_limits(paths)
    _remove_access(paths)
    _disconnect_clients(paths)
    if purge:
        _purge(machine)
    for leftover in paths.state.rglob(".*.tmp"):  # of processes that were killed while they wrote
        leftover.unlink(missing_ok=True)
    for directory in (
        paths.working_directory,
        paths.agents,
        paths.programs,
        paths.state,
        paths.logs,
        paths.config.parent,
    ):
        _remove_if_empty(directory, keep=machine.home)
    removed = len(applied.plan.labels(Change.REMOVE))
    flash(Tone.OK, f"Removed {removed} agent(s)." if installed else "Nothing was installed.")


def _remove_limits(paths: Paths) -> None:
    """Nobody is there any more to hold a lock."""
    paths.limits.unlink(missing_ok=True)
    shutil.rmtree(paths.locks, ignore_errors=True)


def _remove_access(paths: Paths) -> None:
    """Who finds them later could do nothing with them, and a new install makes new ones. Prompts go too."""
    for directory in (paths.keys, paths.prompts, paths.images):
        shutil.rmtree(directory, ignore_errors=True)
    for file in (paths.socket, paths.browser_page):
        file.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        paths.socket.parent.rmdir()


def _disconnect_clients(paths: Paths) -> None:
    """Their settings name a hub that is gone, and a key that no new one takes."""
    try:
        for client in connected_clients(paths):
            flash(Tone.INFO, f"{disconnect_client(paths, client)} no longer names this hub.")
    except MlxhubError as error:
        flash(Tone.WARN, str(error))
    for file in (paths.connections, paths.connections.with_suffix(".lock")):
        file.unlink(missing_ok=True)


def _purge(machine: Machine) -> None:
    """Only directories that are ours by name; a log_path of the user's own choice is not."""
    _purge_state(machine.paths)
    shutil.rmtree(machine.paths.logs, ignore_errors=True)
    config = machine.paths.config
    for file in (config, *config.parent.glob(f"{config.name}.before-*")):
        file.unlink(missing_ok=True)


def _purge_state(paths: Paths) -> None:
    """All but copies of what somebody else wrote."""
    with contextlib.suppress(FileNotFoundError):
        for entry in paths.state.iterdir():
            if entry == paths.replaced:
                flash(Tone.INFO, f"Left where it is, for it is not mlxhub's own work: {entry}")
            elif entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)


def _nothing_starts(_label: str) -> None:
    """Nothing is started here that could be waited for."""


def _remove_if_empty(directory: Path, *, keep: Path) -> None:
    if directory not in (keep, keep / "Library/LaunchAgents"):
        with contextlib.suppress(OSError):
            directory.rmdir()


COMMANDS = {"uninstall": uninstall}
