"""What dies again and again is left down, says why, and comes back when a person asks for it."""

import json
import os
import plistlib
import signal
import subprocess
import sys
import time

import openai
import pytest

from tests.eventually import eventually
from tests.stories.conftest import LiveHub
from tests.stories.test_chat import says

DEMO = "{name: demo, model_path: 'builtin:demo'}"

pytestmark = pytest.mark.skipif(sys.platform == "darwin", reason="a real launchd's clock cannot be set")


def kill_until_parked(hub: LiveHub, name: str) -> None:
    """kill -9 of each process that launchd starts, as soon as it is written down."""
    runs, parked = hub.home / f"state/runs/{name}.json", hub.home / f"state/parked/{name}.txt"
    killed: set[int] = set()
    deadline = time.monotonic() + 60
    while not parked.exists():
        assert time.monotonic() < deadline, killed
        last = json.loads(runs.read_text())[-1]
        if last["ended_at"] is None and last["pid"] not in killed:
            os.kill(last["pid"], signal.SIGKILL)
            killed.add(last["pid"])
        time.sleep(0.02)
    assert len(killed) == 5


def test_a_model_that_is_killed_again_and_again_stays_down_until_a_person_starts_it(
    hub: LiveHub,
) -> None:
    hub.write(DEMO)
    hub.ok("install")
    kill_until_parked(hub, "demo")

    failed = eventually(lambda: model if (model := hub.model("demo"))["process"] == "failed" else None, 10)
    assert failed["error"].startswith('Model "demo" died 5 times in 10 minutes (last: signal Killed, ')
    assert failed["error"].endswith("See mlxhub logs demo, then: mlxhub start-model demo")
    with hub.client() as client, pytest.raises(openai.InternalServerError) as refused:
        client.chat.completions.create(model="demo", messages=says("ping"))
    assert (refused.value.status_code, refused.value.code) == (503, "model_failed")
    assert "Whoever runs this hub sees why with: mlxhub status" in refused.value.message
    assert "Killed" not in refused.value.message
    assert failed["pid"] is None

    crashes = hub.json("crashes")["processes"]
    assert [record["name"] for record in crashes] == ["controller", "demo"]
    assert (crashes[0]["parked"], crashes[0]["deaths"]) == (None, [])
    assert crashes[1]["parked"] == failed["error"]
    assert [death["exit"] for death in crashes[1]["deaths"]] == ["signal Killed"] * 5

    assert "demo" in hub.ok("start-model", "demo")
    with hub.client() as client:
        answer = client.chat.completions.create(model="demo", messages=says("ping"))
    assert answer.choices[0].message.content == "pong"
    assert hub.model("demo")["error"] is None
    (record,) = hub.json("crashes", "demo")["processes"]
    assert (record["parked"], [death["forgiven"] for death in record["deaths"]]) == (None, [True] * 5)


def test_a_controller_that_is_killed_again_and_again_stays_down_until_start(hub: LiveHub) -> None:
    hub.write(DEMO)
    hub.ok("install")
    kill_until_parked(hub, "controller")
    eventually(lambda: hub.json("status")["controller"]["pid"] is None, 10)
    status = hub.json("status")
    assert status["controller"]["process"] == "failed"
    assert status["controller"]["error"].startswith("The controller died 5 times in 10 minutes")
    assert status["models"][0]["process"] == "running"
    crashes = hub.run("crashes")
    assert "The controller\n" in crashes.stdout
    assert crashes.stdout.count("signal Killed, ran at most ") == 5
    assert status["controller"]["error"] in crashes.stderr
    hub.ok("start")
    assert hub.json("status")["controller"]["process"] == "running"


def test_a_python_that_is_gone_is_told_and_repaired(hub: LiveHub) -> None:
    """As after an upgrade that removed the interpreter which the plist names."""
    hub.write("{name: demo, model_path: 'builtin:demo', default: false}")
    hub.ok("install")
    label = f"{hub.prefix}.worker.demo"
    plist = hub.home / "LaunchAgents" / f"{label}.plist"
    content = plist.read_bytes()
    definition = plistlib.loads(content)
    python = hub.home / "gone" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(hub.home / "removed")
    definition["ProgramArguments"][2] = str(python)
    _launchctl(hub, "bootout", f"gui/{os.getuid()}/{label}")
    plist.write_bytes(plistlib.dumps(definition))

    refused = hub.run("start-model", "demo")
    assert refused.returncode == 1
    assert f"mlxhub's Python environment does not work any more ({python}" in refused.stdout + refused.stderr
    failed = hub.model("demo")
    assert (failed["process"], failed["last_exit"]) == ("failed", "exit 0")
    assert failed["error"].endswith("or mlxhub install from an environment that works.")

    _launchctl(hub, "bootout", f"gui/{os.getuid()}/{label}")
    plist.write_bytes(content)
    hub.ok("start-model", "demo")
    assert (hub.model("demo")["process"], hub.model("demo")["error"]) == ("running", None)
    assert not (hub.home / "state/parked/demo.txt").exists()


def test_a_plist_of_another_version_is_told_at_once_and_repaired(hub: LiveHub) -> None:
    hub.write("{name: demo, model_path: 'builtin:demo', default: false}")
    hub.ok("install")
    label = f"{hub.prefix}.worker.demo"
    plist = hub.home / "LaunchAgents" / f"{label}.plist"
    definition = plistlib.loads(plist.read_bytes())
    definition["ProgramArguments"][-1:] = ["another generation", "--of-another-version"]
    _launchctl(hub, "bootout", f"gui/{os.getuid()}/{label}")
    plist.write_bytes(plistlib.dumps(definition))

    refused = hub.run("start-model", "demo")
    assert refused.returncode == 1
    assert "does not understand its plist" in refused.stdout + refused.stderr
    failed = hub.model("demo")
    assert (failed["process"], failed["last_exit"]) == ("failed", "exit 0")
    assert "--of-another-version" in failed["error"]
    assert hub.json("crashes", "demo")["processes"][0]["parked"] == failed["error"]

    hub.ok("install", "--force")
    hub.ok("start-model", "demo")
    assert (hub.model("demo")["process"], hub.model("demo")["error"]) == ("running", None)


def _launchctl(hub: LiveHub, *arguments: str) -> None:
    client = [sys.executable, "-c", "from mlxhub.cli.launchctl import main; main()"]
    environment = dict(os.environ) | {"MLXHUB_HOME": str(hub.home)}
    done = subprocess.run(
        [*client, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode in (0, 36), done.stderr
