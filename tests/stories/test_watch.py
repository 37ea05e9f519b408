"""`mlxhub watch`, in a terminal."""

import os
import pty
import select
import signal
import subprocess
import sys
import time

from tests.stories.conftest import LiveHub

SECONDS = 60


def read_until(terminal: int, *words: str) -> str:
    """What the terminal shows until all of these have come."""
    said = ""
    deadline = time.monotonic() + SECONDS
    while not all(word in said for word in words):
        ready, _, _ = select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"not within {SECONDS} s: {words} in {said}"
        said += os.read(terminal, 65536).decode()
    return said


def code_of(program: subprocess.Popen[bytes], terminal: int) -> int | None:
    """How it ends. What it writes meanwhile is read: a terminal takes only so much."""
    deadline = time.monotonic() + SECONDS
    while program.poll() is None and time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.1)[0]:
            os.read(terminal, 65536)
    return program.returncode


def test_it_shows_each_model_and_says_when_the_controller_is_gone(demo_hub: LiveHub) -> None:
    ours, theirs = pty.openpty()
    watching = subprocess.Popen(
        [sys.executable, "-m", "mlxhub", "watch"],
        env=os.environ | {"MLXHUB_HOME": str(demo_hub.home), "COLUMNS": "120"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    try:
        read_until(ours, "MODEL", "demo", "running", "controller")
        controller = demo_hub.json("status")["controller"]["pid"]
        os.kill(controller, signal.SIGSTOP)
        try:
            read_until(ours, "gone", "What is shown was so")
        finally:
            os.kill(controller, signal.SIGCONT)
        read_until(ours, f"pid {controller}")
        watching.send_signal(signal.SIGINT)
        assert code_of(watching, ours) == 0
    finally:
        watching.kill()
        watching.wait(SECONDS)
        os.close(ours)
        os.close(theirs)


def test_without_a_terminal_it_says_what_to_use(demo_hub: LiveHub) -> None:
    refused = demo_hub.run("watch")
    assert (refused.returncode, "mlxhub events -f" in refused.stderr) == (1, True)
