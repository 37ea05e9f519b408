"""`mlxhub models pull` and `rm`: models into the Hugging Face cache, and out of it."""

import os
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from mlxhub.cli.flash import Tone, flash
from mlxhub.cli.local_hub import find_machine
from mlxhub.errors import MlxhubError, PullFailed, size_text
from mlxhub.fleet.pulls import begin_pull, remove_model
from mlxhub.protocol.registry import PulledModel
from mlxhub.registry.pulling import Came, Checking, Planned, Pull, Pulled

_SAY_EVERY_SHARE = 0.1


@click.command("pull")
@click.argument("repo")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def pull(file: Path | None, repo: str, as_json: bool) -> None:
    """Download a model, such as mlx-community/Qwen3-4B-4bit, into the Hugging Face cache.

    What has come of a pull that was ended stays: the same command goes on from there.
    """
    machine = find_machine(file)
    pulling = begin_pull(machine, repo, os.environ)
    try:
        pulled = _follow(pulling, repo, as_json)
    except KeyboardInterrupt:
        pulling.cancel()
        said = f"The pull of {repo} was stopped. What has come is kept; the same command goes on from there."
        raise PullFailed("cancelled", said) from None
    if as_json:
        click.echo(pulled.model_dump_json(indent=2))
        return
    flash(Tone.OK, f"{repo} is in {pulled.directory}")
    flash(Tone.INFO, f"Put it into hub.yaml with: mlxhub models enable {repo}")


def _follow(pulling: Pull, repo: str, to_stderr: bool) -> PulledModel:
    """Raises PullFailed."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    is_shown = sys.stderr is not None and sys.stderr.isatty()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not is_shown) as progress:
        task = progress.add_task(repo, total=None)
        commit, total, said = "", 0, 0.0
        for news in pulling:
            match news:
                case Planned(commit, files, total, have):
                    known = f", {size_text(have)} of them from before" if have else ""
                    flash(Tone.INFO, f"{repo}: {files} files, {size_text(total)}{known}", to_stderr=to_stderr)
                    progress.update(task, total=total, completed=have)
                    said = have / total if total else 1.0
                case Came(done):
                    progress.update(task, completed=done)
                    if not is_shown and total and done / total >= said + _SAY_EVERY_SHARE:
                        said = done / total
                        flash(Tone.INFO, f"{size_text(done)} of {size_text(total)}", to_stderr=to_stderr)
                case Checking(name):
                    progress.update(task, description=f"{repo}: checking {name}")
                case Pulled(directory):
                    return PulledModel(model=repo, commit=commit, directory=directory, size_bytes=total)
    raise AssertionError("a pull ends with what was pulled, or with an error")


@click.command("rm")
@click.argument("repo")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def rm(file: Path | None, repo: str, yes: bool) -> None:
    """Delete a model from the Hugging Face cache."""
    machine = find_machine(file)
    if not yes:
        if sys.stdin is None or not sys.stdin.isatty():
            raise MlxhubError(f"Deleting {repo} has to be confirmed: mlxhub models rm {repo} --yes")
        click.confirm(f"Delete {repo} from the Hugging Face cache?", abort=True)
    freed = remove_model(machine, repo, os.environ)
    flash(Tone.OK, f"{repo} is deleted; {size_text(freed)} are free again.")
