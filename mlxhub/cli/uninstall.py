"""`mlxhub uninstall`: works without a hub.yaml, by the list of what was written."""

import contextlib
import shutil
from pathlib import Path

import click

from mlxhub.cli.flash import Tone, flash
from mlxhub.cli.local_hub import find_machine, launchd_of
from mlxhub.files.machine import Machine
from mlxhub.files.manifest import forget, installed_agents
from mlxhub.files.state import remove_file
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
    if launchd.has_session():
        reconcile({}, owns=lambda _label: True, paths=paths, launchd=launchd)
    else:  # nothing can be loaded where there is no session: only files are left
        for label, plist in installed.items():
            remove_file(plist)
            forget(paths, label)
    if machine.supervisor is not None:
        end_supervisor(paths)
        shutil.rmtree(paths.supervisor, ignore_errors=True)
    if purge:
        _purge(machine)
    for directory in (paths.working_directory, paths.agents, paths.state, paths.logs, paths.config.parent):
        _remove_if_empty(directory, keep=machine.home)
    flash(Tone.OK, f"Removed {len(installed)} agent(s)." if installed else "Nothing was installed.")


def _purge(machine: Machine) -> None:
    """Only directories that are ours by name; a log_path of the user's own choice is not."""
    shutil.rmtree(machine.paths.state, ignore_errors=True)
    shutil.rmtree(machine.paths.logs, ignore_errors=True)
    machine.paths.config.unlink(missing_ok=True)


def _remove_if_empty(directory: Path, *, keep: Path) -> None:
    if directory not in (keep, keep / "Library/LaunchAgents"):
        with contextlib.suppress(OSError):
            directory.rmdir()


COMMANDS = {"uninstall": uninstall}
