"""hub.yaml and our own records: can they be read, and by nobody else written?"""

import os
import stat
from pathlib import Path

from mlxhub.core.checks import Finding, fail, faults_or, ok, skip
from mlxhub.fleet.doctor.found import Found


def valid(found: Found) -> list[Finding]:
    path = found.machine.paths.config
    if not path.exists():
        return [fail(f"{path} does not exist.", "mlxhub init writes one")]
    fix = "correct it, then: mlxhub apply"
    models = "" if found.config is None else f": {len(found.config.models)} model(s)"
    return faults_or((fail(str(fault), fix) for fault in found.faults), f"{path} is valid{models}.")


def rights(found: Found) -> list[Finding]:
    path = found.machine.paths.config
    if not path.exists():
        return [skip("There is no hub.yaml.")]
    places = dict.fromkeys([path, path.resolve(), path.parent, path.resolve().parent])
    faults = (_rights(place, place.stat(), os.getuid()) for place in places)
    return faults_or(faults, "Nobody but you can change hub.yaml.")


def _rights(path: Path, status: os.stat_result, uid: int) -> Finding | None:
    """Whoever can change hub.yaml decides what runs as its user."""
    if status.st_uid not in (uid, 0):
        return fail(f"{path} belongs to user {status.st_uid}, not to you.", f"sudo chown {uid} '{path}'")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        mode = stat.S_IMODE(status.st_mode)
        return fail(f"Others may change {path} (mode {mode:04o}).", f"chmod go-w '{path}'")
    return None


def state(found: Found) -> list[Finding]:
    if found.state_fault is not None:
        return [fail(found.state_fault, "move the file away, or attach its disk; then: mlxhub install")]
    return [ok(f"What mlxhub wrote down in {found.paths.state} can be read.")]
