"""A Mac's own launchd to ask; whatever was loaded, disabled or written is gone again afterwards.

Except that launchd keeps an `enabled` entry for each label that was ever disabled, and no command removes it.
Hence these labels are the same in every run.
"""

import os
import secrets
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from tests.conformance.catalogue import SCENARIOS
from tests.conformance.driver import DOMAIN, Launchd, Outcome
from tests.conformance.processes import end_processes_under

PREFIX = "io.mlxhub.conformance"
# kickstart -k is the slowest: a minute for the old process, and the throttle.
LAUNCHCTL_LIMIT_SECONDS = 120.0
# Of each call while cleaning up: no verb that is used then waits for a process.
CLEANING_LIMIT_SECONDS = 20.0
REMOVAL_LIMIT_SECONDS = 30.0
REMOVED_AT_ONCE = 8


@contextmanager
def real_launchd(
    program: str = "/bin/launchctl", cleaning_limit_seconds: float = CLEANING_LIMIT_SECONDS
) -> Iterator[Launchd]:
    """Raises PermissionError in no graphical session, and RuntimeError if anything may be left."""
    session = run_launchctl(program, LAUNCHCTL_LIMIT_SECONDS, ["managername"]).stdout.strip()
    if session != "Aqua":
        raise PermissionError(
            f"{program} managername says {session!r} and not 'Aqua': there is no gui domain to load jobs "
            "into. Log in at the screen and run this in a terminal there."
        )
    patiently = partial(run_launchctl, program, LAUNCHCTL_LIMIT_SECONDS)
    with tempfile.TemporaryDirectory(prefix="mlxhub-conformance-", ignore_cleanup_errors=True) as directory:
        launchd = Launchd(
            ask=patiently,
            command=(program,),
            environment={},
            scale=1.0,
            poll_seconds=0.4,
            prefix=f"{PREFIX}.{secrets.token_hex(4)}",
            lasting_prefix=PREFIX,
            directory=Path(directory).resolve(),  # launchd is told no path with a symlink in it
        )
        briefly = replace(launchd, ask=partial(run_launchctl, program, cleaning_limit_seconds))
        # What a run that was ended half-way left under the labels that are always the same.
        launchd.written.update(f"{PREFIX}.{each.number}" for each in SCENARIOS if each.disables)
        clean_up(briefly)
        try:
            yield launchd
        finally:
            launchd.over.set()
            clean_up(briefly)


def run_launchctl(program: str, limit_seconds: float, argv: Sequence[str]) -> Outcome:
    done = subprocess.run(
        [program, *argv],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
        env={**os.environ, "LC_ALL": "C"}, timeout=limit_seconds, check=False,
    )  # fmt: skip
    return Outcome(done.returncode, done.stdout, done.stderr)


def clean_up(launchd: Launchd) -> None:
    """Remove every label that was written and take back what was disabled.

    A call that hangs costs its own label and no other. Raises RuntimeError with the labels that may be left.
    """
    labels = sorted(launchd.written.copy())  # a scenario that hangs may be about to add one
    with ThreadPoolExecutor(REMOVED_AT_ONCE) as pool:
        gone = pool.map(partial(remove, launchd), labels)
        left = [label for label, is_gone in zip(labels, gone, strict=True) if not is_gone]
    end_processes_under(launchd.directory)
    if left:
        raise RuntimeError(
            f"launchd may still have {', '.join(left)}. For each LABEL: launchctl bootout {DOMAIN}/LABEL; "
            f"launchctl enable {DOMAIN}/LABEL"
        )


def remove(launchd: Launchd, label: str) -> bool:
    """Whether it certainly is gone and not disabled."""
    target = f"{DOMAIN}/{label}"
    gone = False
    with suppress(subprocess.TimeoutExpired):
        gone = not is_loaded(launchd, target) or unload(launchd, target)
    with suppress(subprocess.TimeoutExpired):
        overrides = launchd.ask(["print-disabled", DOMAIN]).stdout
        if is_disabled(overrides, label):
            return launchd.ask(["enable", target]).rc == 0 and gone
        return gone
    return False


def unload(launchd: Launchd, target: str) -> bool:
    launchd.ask(["bootout", target])
    deadline = time.monotonic() + REMOVAL_LIMIT_SECONDS
    while is_loaded(launchd, target):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.5)
    return True


def is_disabled(overrides: str, label: str) -> bool:
    return any(f'"{label}" => {word}' in overrides for word in ("disabled", "true"))


def is_loaded(launchd: Launchd, target: str) -> bool:
    return launchd.ask(["print", target]).rc == 0
