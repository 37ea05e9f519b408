"""Every check by its id, and making them: one that breaks or hangs says so and spoils no other."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import partial

from mlxhub.core.checks import Check, Finding, fail
from mlxhub.fleet.doctor import (
    agents,
    disk,
    guarding,
    hub_yaml,
    mac,
    memory,
    models,
    ports,
    programs,
    session,
)
from mlxhub.fleet.doctor.asking import answer_within, begin
from mlxhub.fleet.doctor.found import Found

CHECK_SECONDS = 20.0

MakeCheck = Callable[[Found], list[Finding]]

# In the order in which they are shown; docs/operations.md explains each.
CHECKS: Mapping[str, MakeCheck] = {
    "hub_yaml.valid": hub_yaml.valid,
    "hub_yaml.rights": hub_yaml.rights,
    "hub_yaml.state": hub_yaml.state,
    "launchd.session": session.session,
    "launchd.user": session.user,
    "agents.written": agents.written,
    "agents.ours": agents.ours,
    "agents.file": agents.file_rights,
    "agents.leftover": agents.leftovers,
    "agents.disabled": agents.switched_on,
    "agents.loaded": agents.loaded,
    "agents.place": agents.place,
    "agents.spawn": agents.startable,
    "agents.running": agents.running,
    "agents.parked": agents.parked,
    "agents.answer": ports.answering,
    "python.works": programs.python,
    "python.same": programs.same_python,
    "python.launcher": programs.launcher,
    "python.quarantine": programs.quarantine,
    "python.architecture": programs.architecture,
    "ports.held": ports.held,
    "ports.known": ports.known,
    "network.bind": ports.bind,
    "guard.browsers": guarding.browsers,
    "guard.keys": guarding.keys,
    "keys.private": guarding.key_files,
    "models.files": models.files,
    "models.cached": models.cached,
    "models.commands": models.commands,
    "models.guarded": models.guarded,
    "memory.fits": memory.fits,
    "memory.wired": memory.wired,
    "disk.space": disk.space,
    "disk.writable": disk.writable,
    "disk.logs": disk.logs,
    "disk.private": disk.private,
    "mac.priority": mac.priority,
    "mac.sleep": mac.sleep,
    "mac.headless": mac.headless,
}


def examine(
    found: Found, checks: Mapping[str, MakeCheck] = CHECKS, seconds: float = CHECK_SECONDS
) -> list[Check]:
    """All at once; each may take so many seconds."""
    deadline = time.monotonic() + seconds
    asked = {name: begin(partial(check, found)) for name, check in checks.items()}
    late = [fail(f"This check did not finish within {seconds:g} s.", "try again; if it stays so, report it")]
    return [
        Check(name, finding.status, finding.text, finding.fix)
        for name, answer in asked.items()
        for finding in _made(answer, deadline - time.monotonic(), late)
    ]


def _made(answer: Future[list[Finding]], seconds: float, late: list[Finding]) -> list[Finding]:
    try:
        return answer_within(seconds, answer, late)
    except Exception as error:  # noqa: BLE001 - the top of one check: the others go on
        return [fail(f"This check itself broke: {type(error).__name__}: {error}", "report this as a fault")]
