"""`mlxhub init`."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import click
import psutil

from mlxhub.cli.flash import Tone, flash
from mlxhub.cli.initial import initial_hub_yaml
from mlxhub.cli.local_hub import find_machine
from mlxhub.core.config import HubConfig
from mlxhub.core.limits import make_limits
from mlxhub.errors import MlxhubError, size_text
from mlxhub.files.huggingface import cache_directory
from mlxhub.files.machine import Machine
from mlxhub.files.ports import is_free
from mlxhub.files.state import write_atomically
from mlxhub.fleet.proposals import Proposal, propose_models

# Text models of the size that a memory limit of so many bytes is comfortable with, and about what a download
# takes: their parameters at 4.5 bits.
_SUGGESTIONS = (
    (40_000_000_000, "mlx-community/Qwen3-30B-A3B-4bit", 17_200_000_000),
    (12_000_000_000, "mlx-community/Qwen3-8B-4bit", 4_600_000_000),
    (5_000_000_000, "mlx-community/Qwen3-4B-4bit", 2_300_000_000),
    (0, "mlx-community/Qwen3-0.6B-4bit", 350_000_000),
)


@click.command()
@click.option(
    "--force", is_flag=True, help="Replace a hub.yaml that is there; the old one is kept beside it."
)
@click.option("--if-missing", is_flag=True, help="Do nothing where there is a hub.yaml.")
@click.option("--demo-only", is_flag=True, help="Do not look for models on this machine's disks.")
@click.pass_obj
def init(file: Path | None, force: bool, if_missing: bool, demo_only: bool) -> None:
    """Write a commented hub.yaml: the built-in demo model, and those on this machine's disks that fit."""
    machine = find_machine(file)
    path = machine.paths.config
    if path.exists() and if_missing:
        flash(Tone.INFO, f"{path} is there already and stays as it is.")
        return
    if path.exists() and not force:
        raise MlxhubError(f"{path} is there already. Replace it with: mlxhub init --force")
    total = int(psutil.virtual_memory().total)
    empty = HubConfig()
    limit = make_limits(empty, total).memory_bytes
    proposals = [] if demo_only else propose_models(machine, empty, limit)
    if path.exists():
        kept = path.with_suffix(".yaml.before-init")
        path.replace(kept)
        flash(Tone.INFO, f"The old hub.yaml is now {kept}.")
    room = size_text(total if limit is None else limit)
    says = f"of the {size_text(total)} here that is {room}"
    write_atomically(path, initial_hub_yaml(is_free, says, proposals).encode())
    flash(Tone.INFO, f"This machine has {size_text(total)} of memory; its models may take {room} together.")
    _show(path, proposals)
    if not proposals and not demo_only:
        _suggest(machine, total if limit is None else limit)


def _show(path: Path, proposals: Sequence[Proposal]) -> None:
    names = ["demo", *(proposal.name for proposal in proposals if proposal.is_on)]
    flash(Tone.OK, f"Wrote {path} with {', '.join(names)}. Start it with: mlxhub install")
    off = [proposal.name for proposal in proposals if not proposal.is_on]
    if off:
        said = f"{len(off)} more are comments there: {', '.join(off)}."
        flash(Tone.INFO, f"{said} Each gets in with: mlxhub models enable NAME")


def _suggest(machine: Machine, limit_bytes: int) -> None:
    """One to begin with, where there is none and the disk has room."""
    cache = cache_directory(machine.runtime.environment, machine.home)
    there = next(place for place in (cache, *cache.parents) if place.exists())
    free = shutil.disk_usage(there).free
    fitting = ((repo, size) for least, repo, size in _SUGGESTIONS if limit_bytes >= least and free > 2 * size)
    if (suggested := next(fitting, None)) is not None:
        repo, size = suggested
        flash(
            Tone.INFO,
            f"There are no models in {cache}. One that fits, about {size_text(size)} of the "
            f"{size_text(free)} that are free: mlxhub models pull {repo}",
        )


COMMANDS = {"init": init}
