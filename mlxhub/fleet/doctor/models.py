"""Models: are their files there, readable, and in a place that a background process may read?"""

import shutil
from pathlib import Path

from mlxhub.core.checks import Finding, fail, faults_or, skip, warn
from mlxhub.core.paths import expand_home
from mlxhub.fleet.doctor.found import Found, unknown_without_hub

_GUARDED = ("Desktop", "Documents", "Downloads")


def files(found: Found) -> list[Finding]:
    if found.config is None:
        return unknown_without_hub("models there should be")
    faults = (
        fail(
            f'Model "{name}" cannot be loaded from {found.locations[name]}: {seen.fault}.',
            seen.remedy or "correct model_path in hub.yaml, attach the disk, or download the model again",
        )
        for name, seen in found.checkpoints.items()
        if seen.fault is not None
    )
    return faults_or(
        faults, f"The files of {len(found.checkpoints)} model(s) are there, readable and as they must be."
    )


def cached(found: Found) -> list[Finding]:
    if found.config is None:
        return unknown_without_hub("models there should be")
    faults = (
        fail(f'Model "{name}": {repo} is not in the Hugging Face cache.', f"mlxhub models pull {repo}")
        for name, repo in found.locations.items()
        if name not in found.checkpoints
    )
    return faults_or(faults, "Every model that hub.yaml names by its repo id is in the cache.")


def commands(found: Found) -> list[Finding]:
    if found.config is None:
        return unknown_without_hub("commands there should be")
    path = found.machine.runtime.environment.get("PATH", "")
    named = {model.name: model.command[0] for model in found.config.models if model.command}
    faults = (
        fail(
            f'Model "{name}": its command {program} is not found in {path}.',
            "install it, or name it by its whole path in hub.yaml",
        )
        for name, program in named.items()
        if shutil.which(str(expand_home(program, found.machine.home)), path=path) is None
    )
    return faults_or(faults, f"The programs of {len(named)} command(s) are there.")


def guarded(found: Found) -> list[Finding]:
    if not found.machine.is_mac:
        return [skip("Only macOS guards directories against background processes.")]
    faults = (_guarded(name, Path(found.locations[name]), found.machine.home) for name in found.checkpoints)
    return faults_or(faults, "No model lies where macOS asks before a background process may read.")


def _guarded(name: str, location: Path, home: Path) -> Finding | None:
    places = [*(home / directory for directory in _GUARDED), Path("/Volumes")]
    place = next((place for place in places if location.is_relative_to(place)), None)
    if place is None:
        return None
    return warn(
        f'Model "{name}" lies under {place}: macOS asks before a background process reads there, and the '
        "question may never show.",
        "move it, to ~/models for instance, or give the agents' Python Full Disk Access",
    )
