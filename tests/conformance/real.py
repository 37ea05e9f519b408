"""A Mac's own launchd to ask; whatever was loaded, disabled or written is gone again afterwards."""

import os
import secrets
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.conformance.driver import DOMAIN, Launchd, Outcome
from tests.conformance.processes import end_processes_under

# kickstart -k is the slowest: a minute for the old process, and the throttle.
LAUNCHCTL_LIMIT_SECONDS = 120
REMOVAL_LIMIT_SECONDS = 30


@contextmanager
def real_launchd(program: str = "/bin/launchctl") -> Iterator[Launchd]:
    """Raises PermissionError where this process is in no graphical session."""
    session = run_launchctl(program, ["managername"]).stdout.strip()
    if session != "Aqua":
        raise PermissionError(
            f"{program} managername says {session!r} and not 'Aqua': there is no gui domain to load jobs "
            "into. Log in at the screen and run this in a terminal there."
        )
    with tempfile.TemporaryDirectory(prefix="mlxhub-conformance-") as directory:
        launchd = Launchd(
            ask=lambda argv: run_launchctl(program, argv),
            command=(program,),
            environment={},
            scale=1.0,
            poll_seconds=0.4,
            prefix=f"io.mlxhub.conformance.{secrets.token_hex(4)}",
            directory=Path(directory).resolve(),  # launchd is told no path with a symlink in it
        )
        try:
            yield launchd
        finally:
            clean_up(launchd)


def run_launchctl(program: str, argv: Sequence[str]) -> Outcome:
    done = subprocess.run(
        [program, *argv],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
        env={**os.environ, "LC_ALL": "C"}, timeout=LAUNCHCTL_LIMIT_SECONDS, check=False,
    )  # fmt: skip
    return Outcome(done.returncode, done.stdout, done.stderr)


def clean_up(launchd: Launchd) -> None:
    """Remove every label that was written, wait until all are gone, and take back what was disabled."""
    targets = [f"{DOMAIN}/{label}" for label in sorted(launchd.written)]
    loaded = [target for target in targets if is_loaded(launchd, target)]
    for target in loaded:
        launchd.ask(["bootout", target])
    disabled = launchd.ask(["print-disabled", DOMAIN]).stdout
    for label in sorted(launchd.written):
        if f'"{label}"' in disabled:
            launchd.ask(["enable", f"{DOMAIN}/{label}"])
    deadline = time.monotonic() + REMOVAL_LIMIT_SECONDS
    while any(is_loaded(launchd, target) for target in loaded) and time.monotonic() < deadline:
        time.sleep(0.5)
    end_processes_under(launchd.directory)


def is_loaded(launchd: Launchd, target: str) -> bool:
    return launchd.ask(["print", target]).rc == 0
