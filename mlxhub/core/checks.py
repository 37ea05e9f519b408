"""What a check of a hub found, as values."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class CheckStatus(StrEnum):
    """FAIL: something does not work, or will not. SKIP: there was nothing to look at, and why."""

    FAIL = "fail"
    WARN = "warn"
    OK = "ok"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line each. `fix`: what to do about it, for WARN and FAIL."""

    status: CheckStatus
    text: str
    fix: str | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """A finding under the name of its check, which stays the same from release to release."""

    id: str
    status: CheckStatus
    finding: str
    fix: str | None


def fail(text: str, fix: str) -> Finding:
    return Finding(CheckStatus.FAIL, text, fix)


def warn(text: str, fix: str) -> Finding:
    return Finding(CheckStatus.WARN, text, fix)


def ok(text: str) -> Finding:
    return Finding(CheckStatus.OK, text)


def skip(text: str) -> Finding:
    return Finding(CheckStatus.SKIP, text)


def faults_or(faults: Iterable[Finding | None], well: str) -> list[Finding]:
    """What is wrong, or one line that says what is well."""
    return [fault for fault in faults if fault is not None] or [ok(well)]


def worst_first(checks: Iterable[Check]) -> list[Check]:
    """Within a status, in the order in which checks are made."""
    order = list(CheckStatus)
    return sorted(checks, key=lambda check: order.index(check.status))
