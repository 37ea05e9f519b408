"""Install, change, crash and uninstall, on a launchd in each of the ways it is known to go wrong.

By default one draw of each second profile, the others with another seed; `--story-seeds 5`: five of each.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.conftest import SEED
from tests.eventually import eventually
from tests.stories.conftest import LiveHub, make_hub

# launchd seconds in one of ours: a throttle takes one second, an ExitTimeOut 4.5.
SCALE = 10
PROFILES = (
    "none",
    "on-demand-only",
    "no-gui",
    "ssh",
    "lwcr-stale",
    "btm-off",
    "eio",
    "slow-k",
    "backoff",
    "lowpower",
    "leftover",
)
# The worst a single command may take on a busy machine; nothing waits for longer anywhere.
DEADLINE_SECONDS = 90
DEMO = "{name: demo, model_path: 'builtin:demo', queue_size: %d}"
LAZY = "{name: lazy, model_path: 'builtin:demo', default: false}"
EXIT_NO_SESSION = 3


@pytest.fixture
def supervised(tmp_path: Path, story: tuple[str, int]) -> Iterator[LiveHub]:
    """A hub without anything installed, under a launchd of this profile and seed."""
    profile, seed = story
    hub = make_hub(tmp_path)
    state = hub.home / "launchd"
    state.mkdir(parents=True, mode=0o700)
    command = [sys.executable, "-I", "-m", "mlxhub.standin.daemon", "--state", str(state)]
    command += ["--agents", str(hub.home / "LaunchAgents"), "--seed", str(seed), "--clock-scale", str(SCALE)]
    command += [] if profile == "none" else ["--profile", profile]
    with (tmp_path / "launchd.log").open("wb") as log:
        daemon = subprocess.Popen(command, stderr=log)
    try:
        eventually((state / "sock").exists)
        yield hub
    finally:
        hub.remove()
        if daemon.poll() is None:
            daemon.kill()
        daemon.wait(10)
        print((tmp_path / "launchd.log").read_text())


@pytest.mark.skipif(sys.platform == "darwin", reason="a real launchd takes no orders about how to go wrong")
def test_nothing_hangs_nothing_is_half_done_and_a_second_run_repairs(
    supervised: LiveHub, story: tuple[str, int]
) -> None:
    profile, _ = story
    hub = supervised
    hub.write(DEMO % 5, LAZY)
    if profile == "no-gui":
        _without_a_session_nothing_is_changed(hub)
    elif profile == "btm-off":
        _a_switched_off_login_item_is_reported_and_not_fought(hub)
    else:
        _the_whole_life(hub)


def _the_whole_life(hub: LiveHub) -> None:
    _succeeds(hub, "install")
    assert _states(hub) == {"demo": "running", "lazy": "stopped"}
    assert "Nothing to do" in _succeeds(hub, "install")

    hub.write(DEMO % 6, LAZY)
    before = hub.model("demo")["pid"]
    _succeeds(hub, "reload")
    after = eventually(lambda: _running_pid(hub), 40)
    assert after != before

    psutil.Process(after).kill()
    again = eventually(lambda: _running_pid(hub, but=after), 60)
    assert again not in (before, after)

    controller = hub.json("status")["controller"]["pid"]
    psutil.Process(controller).kill()
    # Any command brings it back where launchd does not.
    restored = eventually(lambda: _controller_pid(hub, but=controller), 60)
    assert restored != controller
    assert hub.model("demo")["pid"] == again
    _leaves_nothing(hub)


def _without_a_session_nothing_is_changed(hub: LiveHub) -> None:
    before = sorted(hub.home.rglob("*"))
    for command in ("install", "apply", "plan", "status", "stop"):
        done = _run(hub, command)
        assert done.returncode == EXIT_NO_SESSION, (command, done.stdout, done.stderr)
        assert "launchd" in done.stderr
    assert [path for path in hub.home.rglob("*.plist") if path not in before] == []
    assert [process for process in hub.processes() if "mlxhub.standin.daemon" not in process.cmdline()] == []


def _a_switched_off_login_item_is_reported_and_not_fought(hub: LiveHub) -> None:
    """It may be thrown before, during or after the install; in the end it is off."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while (done := _run(hub, "install")).returncode == 0:
        assert time.monotonic() < deadline, "the switch was never thrown"
        time.sleep(0.5)
    assert "Login Items" in done.stderr
    assert set(_states(hub).values()) <= {"not_installed"}
    bootstraps = (hub.home.parent / "launchd.log").read_text().count("bootstrap")
    time.sleep(3)  # what fights the switch would do so within two looks
    assert (hub.home.parent / "launchd.log").read_text().count("bootstrap") == bootstraps
    _leaves_nothing(hub)


def _leaves_nothing(hub: LiveHub) -> None:
    _succeeds(hub, "uninstall")
    assert list(hub.home.rglob("*.plist")) == []
    assert hub.processes() == []


def _succeeds(hub: LiveHub, *arguments: str) -> str:
    """At once, or the second time: a first run may fail if it says so."""
    done = _run(hub, *arguments)
    if done.returncode != 0:
        assert "[error]" in done.stderr
        done = _run(hub, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _run(hub: LiveHub, *arguments: str) -> subprocess.CompletedProcess[str]:
    begun = time.monotonic()
    done = hub.run(*arguments)
    assert time.monotonic() - begun < DEADLINE_SECONDS
    assert "Traceback" not in done.stderr, done.stderr
    return done


def _states(hub: LiveHub) -> dict[str, str]:
    return {model["name"]: model["process"] for model in hub.json("status")["models"]}


def _running_pid(hub: LiveHub, *, but: int | None = None) -> int | None:
    demo = hub.model("demo")
    return demo["pid"] if demo["process"] == "running" and demo["pid"] != but else None


def _controller_pid(hub: LiveHub, *, but: int) -> int | None:
    done = hub.run("status", "--json")
    controller = json.loads(done.stdout)["controller"] if done.returncode == 0 else {}
    return controller["pid"] if controller.get("process") == "running" and controller["pid"] != but else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "story" not in metafunc.fixturenames:
        return
    count = metafunc.config.getoption("--story-seeds")
    first = int(SEED)
    profiles = PROFILES if count else PROFILES[first % 3 :: 3]
    stories = [(profile, seed) for profile in profiles for seed in range(first, first + max(1, count))]
    metafunc.parametrize("story", stories, ids=[f"{profile}-{seed}" for profile, seed in stories])
