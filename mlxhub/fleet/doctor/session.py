"""launchd itself: is there a session of it, and are we the user that it belongs to?"""

import os

from mlxhub.core.checks import Finding, fail, ok
from mlxhub.fleet.doctor.found import Found


def session(found: Found) -> list[Finding]:
    if found.launchd_fault is not None:
        fault, hint = found.launchd_fault, found.machine.session_hint
        if fault.endswith(hint):
            return [fail(fault.removesuffix(hint).strip(), hint)]
        return [fail(fault, f"try again; launchd's own log: {found.machine.launchd_log}")]
    return [ok(f"launchd has a session for user {found.machine.uid}.")]


def user(found: Found) -> list[Finding]:
    if found.machine.refuses_root and os.getuid() == 0:
        return [fail("LaunchAgents belong to a person, and this is root.", "run mlxhub without sudo")]
    return [ok(f"This runs as user {os.getuid()}.")]
