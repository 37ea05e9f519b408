"""`mlxhub install` killed at each of its steps: the next install repairs, and uninstall leaves nothing."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.conftest import SEED
from tests.stories.conftest import LiveHub

MODELS = (
    "{name: eager, model_path: 'builtin:demo'}",
    "{name: lazy, model_path: 'builtin:demo', default: false}",
)
# Of the steps, since all of them take minutes.
SHARES = 6
# One of them in each run, another one with another seed.
SHARE = int(SEED) % SHARES
# Each changes what the next run finds: a file in its place or gone, a job loaded, unloaded or started.
KILLED = """
import os, signal, sys
left = int(sys.argv.pop(1))
verbs = {"bootstrap", "bootout", "kickstart"}
def step(event, arguments):
    global left
    is_step = event in ("os.rename", "os.remove", "os.rmdir")
    if event == "subprocess.Popen":
        is_step = bool(verbs.intersection(map(str, arguments[1])))
    if is_step:
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(step)
from mlxhub.cli.main import main
main()
"""

pytestmark = pytest.mark.skipif(sys.platform == "darwin", reason="a Mac's launchd knows no quicker clock")


@contextmanager
def quick_supervisor(hub: LiveHub) -> Iterator[None]:
    """Where install looks for one; a throttle of ten seconds takes one."""
    state, agents = hub.home / "launchd", hub.home / "LaunchAgents"
    for directory in (state, agents):
        directory.mkdir(mode=0o700, exist_ok=True)
    command = [sys.executable, "-I", "-m", "mlxhub.standin.daemon", "--clock-scale", "10"]
    daemon = subprocess.Popen(
        [*command, "--state", str(state), "--agents", str(agents)], stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 10
        while not (state / "sock").exists():
            assert time.monotonic() < deadline, "the supervisor does not answer"
            time.sleep(0.02)
        yield
    finally:
        daemon.terminate()
        daemon.wait(30)


def install_killed_after(hub: LiveHub, steps: int) -> bool:
    """Whether it was killed: False where it has no more steps than these."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLXHUB_")}
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(steps), "install"],
        env=environment | {"MLXHUB_HOME": str(hub.home), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode in (0, -9), done.stdout + done.stderr
    return done.returncode == -9


def assert_healthy(hub: LiveHub) -> None:
    status = hub.json("status")
    assert status["controller"]["process"] == "running"
    assert [(each["name"], each["process"]) for each in status["models"]] == [
        ("eager", "running"),
        ("lazy", "stopped"),
    ]
    assert status["warnings"] == []


def test_an_install_that_is_killed_anywhere_is_repaired_by_the_next(hub: LiveHub) -> None:
    hub.write(*MODELS)
    steps = SHARE
    killed = True
    while killed:
        with quick_supervisor(hub):
            killed = install_killed_after(hub, steps)
            if killed:
                hub.ok("install")
            assert_healthy(hub)
            hub.ok("uninstall")
        assert hub.processes() == []
        left = [path for path in hub.home.rglob("*") if path.suffix in (".plist", ".tmp")]
        assert left == []
        assert not (hub.home / "bin").exists()
        steps += SHARES
    # Two launchers, the list, three plists, three jobs that are loaded and two that are started, and more.
    assert steps > 10


def test_an_apply_that_is_killed_anywhere_is_repaired_by_the_next(hub: LiveHub) -> None:
    """Jobs that run are replaced here: one may be booted out when the end comes."""
    hub.write(*MODELS)
    with quick_supervisor(hub):
        hub.ok("install")
        steps = int(SEED) % 2
        killed = True
        while killed:
            hub.write(
                *(model.replace("}", f", queue_size: {steps + 1}}}") for model in MODELS),
                log_level=LEVELS[steps // 2 % 2],
            )
            killed = install_killed_after(hub, steps)
            if killed:
                hub.ok("install")
            assert_healthy(hub)
            steps += 2
        assert "Nothing to do" in hub.ok("plan")
        hub.ok("uninstall")
    assert hub.processes() == []


LEVELS = ("WARNING", "INFO")
