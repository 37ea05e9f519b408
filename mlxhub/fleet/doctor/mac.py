"""What only a Mac can do to a hub: hold its processes back, sleep, wait for a person to log in."""

import re
from collections.abc import Callable

from mlxhub.core.checks import Finding, fail, faults_or, ok, skip, warn
from mlxhub.files.probes import ask_program
from mlxhub.fleet.doctor.found import Found

_SECONDS = 5.0
# What macOS gives to background work; an interactive process has 20 and more.
_BACKGROUND_PRIORITY = 4
_SLEEP = re.compile(r"^\s*sleep\s+(\d+)", re.MULTILINE)
NOT_A_MAC = "This is not a Mac."


def _on_a_mac(check: Callable[[Found], list[Finding]]) -> Callable[[Found], list[Finding]]:
    return lambda found: check(found) if found.machine.is_mac else [skip(NOT_A_MAC)]


@_on_a_mac
def priority(found: Found) -> list[Finding]:
    if not found.own_pids:
        return [skip("Nothing runs.")]
    faults = []
    for label, pid in found.own_pids.items():
        answer = ask_program(("/bin/ps", "-o", "pri=", "-p", str(pid)), _SECONDS)
        faults.append(judge_priority(label, answer.output))
    return faults_or(faults, "Every process has the priority of interactive work.")


def judge_priority(label: str, printed: str) -> Finding | None:
    """`printed`: what ps says, such as "31T"; nothing of a process that ended meanwhile."""
    number = re.match(r"\s*(\d+)", printed)
    if number is None or int(number[1]) > _BACKGROUND_PRIORITY:
        return None
    return fail(
        f"macOS runs {label} as background work (priority {number[1]}), many times slower.", "mlxhub install"
    )


@_on_a_mac
def sleep(found: Found) -> list[Finding]:
    return [judge_sleep(ask_program(("/usr/bin/pmset", "-g"), _SECONDS).output)]


def judge_sleep(printed: str) -> Finding:
    minutes = _SLEEP.search(printed)
    if minutes is None:
        return skip("pmset does not tell when this Mac sleeps.")
    if minutes[1] == "0":
        return ok("This Mac does not fall asleep by itself.")
    return warn(
        f"This Mac sleeps after {minutes[1]} idle minutes; models answer nobody then.",
        "System Settings > Energy, or while something needs it: caffeinate -i",
    )


@_on_a_mac
def headless(found: Found) -> list[Finding]:
    vault = ask_program(("/usr/bin/fdesetup", "status"), _SECONDS)
    window = "/Library/Preferences/com.apple.loginwindow"
    automatic = ask_program(("/usr/bin/defaults", "read", window, "autoLoginUser"), _SECONDS)
    return [judge_headless("FileVault is On" in vault.output, automatic.code == 0)]


def judge_headless(file_vault: bool, automatic_login: bool) -> Finding:
    if automatic_login and not file_vault:
        return ok("After a restart this Mac logs in by itself, and its models run.")
    why = "FileVault is on" if file_vault else "automatic login is off"
    return ok(f"After a restart nothing runs until somebody logs in at the screen ({why}).")
