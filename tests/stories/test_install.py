"""Install, change and uninstall a hub."""

import json
import os
import plistlib
import socket
import sys
from dataclasses import replace

import psutil
import pytest

from tests.eventually import eventually
from tests.fakes.ports import free_ports
from tests.stories.conftest import LiveHub

DEMO = "{name: demo, model_path: 'builtin:demo'}"
GONE = "{name: gone, model_path: 'builtin:demo'}"
LAZY = "{name: lazy, model_path: 'builtin:demo', default: false}"


def test_a_strangers_first_minutes(hub: LiveHub) -> None:
    (hub.home / "hub.yaml").unlink()
    hub.ok("init", "--demo-only")
    text = (hub.home / "hub.yaml").read_text()
    # A hub of this user may run on the machine: take labels and ports of our own.
    own = f"label_prefix: {hub.prefix}\nmodel_starting_port: {hub.first_port}\n"
    (hub.home / "hub.yaml").write_text(own + text)

    first = hub.run("install", "--ask", "ping")
    assert first.returncode == 0, first.stderr
    assert first.stdout.count("pong") == 2

    status = hub.json("status")
    assert status["controller"]["process"] == "running"
    demo = status["models"][0]
    assert (demo["name"], demo["process"], demo["memory"]) == ("demo", "running", "ready")
    for port in (status["controller"]["port"], demo["port"]):
        socket.create_connection(("127.0.0.1", port), timeout=5).close()

    assert "Nothing to do" in hub.ok("install")
    assert hub.json("status")["models"][0]["pid"] == demo["pid"]

    hub.ok("uninstall")
    assert hub.processes() == []
    assert [path for path in hub.home.rglob("*") if path.suffix == ".plist" or path.is_socket()] == []
    assert "Nothing was installed" in hub.ok("uninstall")
    hub.ok("uninstall", "--purge")
    assert not hub.home.exists() or list(hub.home.iterdir()) == []


def test_a_dry_run_shows_the_plan_and_does_nothing(hub: LiveHub) -> None:
    hub.write(DEMO)
    shown = hub.ok("install", "--dry-run")
    assert [line.strip() for line in shown.splitlines()] == [
        f"+ {hub.prefix}.controller  (starts)",
        f"+ {hub.prefix}.worker.demo  (starts)",
        "[info] 2 to add, 0 to change, 0 to remove. Carry it out with: mlxhub apply",
    ]
    assert shown == hub.ok("plan")
    assert hub.processes() == []
    assert list(hub.home.rglob("*.plist")) == []


def test_the_plists_that_run_are_the_ones_on_disk(demo_hub: LiveHub) -> None:
    """argv, environment and working directory of the live worker, as its plist says."""
    plist = plistlib.loads(
        (demo_hub.home / "LaunchAgents" / f"{demo_hub.prefix}.worker.demo.plist").read_bytes()
    )
    worker = psutil.Process(demo_hub.model("demo")["pid"])
    launcher, _note, _python, *arguments = plist["ProgramArguments"]
    assert launcher == str(demo_hub.home / "bin" / "mlxhub-worker")
    assert worker.cmdline()[1:] == arguments
    assert worker.environ().items() >= plist["EnvironmentVariables"].items()
    assert worker.cwd() == plist["WorkingDirectory"]


def test_a_reload_restarts_only_what_changed(hub: LiveHub) -> None:
    other = "{name: other, model_path: 'builtin:demo', queue_size: 5}"
    hub.write(DEMO, other)
    hub.ok("install")
    before = {model["name"]: model["pid"] for model in hub.json("status")["models"]}
    hub.write(DEMO, other.replace("5", "6"), LAZY)
    assert hub.json("reload") == {
        "started": [],
        "stopped": [],
        "restarted": ["other"],
        "unchanged": ["demo"],
        "defined": ["lazy"],
        "failed": [],
        "not_begun": [],
        "warnings": [],
    }
    after = {model["name"]: model["pid"] for model in hub.json("status")["models"]}
    assert after["demo"] == before["demo"]
    assert after["other"] not in (None, before["other"])
    assert after["lazy"] is None
    assert hub.json("status")["controller"]["process"] == "running"

    hub.write(DEMO)
    assert set(hub.json("reload")["stopped"]) == {"lazy", "other"}
    assert {model["name"] for model in hub.json("status")["models"]} == {"demo"}
    assert not psutil.pid_exists(after["other"])


def test_a_broken_hub_yaml_changes_nothing_and_is_reported_with_its_lines(demo_hub: LiveHub) -> None:
    good = (demo_hub.home / "hub.yaml").read_text()
    before = demo_hub.json("status")["models"][0]
    try:
        (demo_hub.home / "hub.yaml").write_text(good + "  - {name: Bad!, prot: 7}\n")
        line = len(good.splitlines()) + 1
        for command in ("reload", "install", "apply", "plan", "config validate"):
            done = demo_hub.run(*command.split())
            assert done.returncode == 1, command
            assert f"hub.yaml:{line}: " in done.stderr, command
            assert 'unknown key "prot"' in done.stderr, command
            assert "Traceback" not in done.stderr
        shown = demo_hub.run("status")
        assert shown.returncode == 0
        assert f"[warn] {demo_hub.home / 'hub.yaml'}:{line}: " in shown.stderr
        assert "demo" in shown.stdout
        assert (
            demo_hub.client()
            .chat.completions.create(model="demo", messages=[{"role": "user", "content": "ping"}])
            .choices[0]
            .message.content
            == "pong"
        )
    finally:
        (demo_hub.home / "hub.yaml").write_text(good)
    assert demo_hub.json("status")["models"][0]["pid"] == before["pid"]


def test_a_stopped_hub_stays_stopped_until_it_is_started(hub: LiveHub) -> None:
    hub.write(DEMO, GONE)
    hub.ok("install")
    hub.write(DEMO)
    hub.ok("stop-model", "demo")
    assert hub.model("demo")["process"] == "stopped"
    assert hub.model("demo")["last_exit"] == "exit 0"
    hub.ok("stop")
    # Also what has left hub.yaml without a reload: nothing of this hub runs but the supervisor.
    assert [p for p in hub.processes() if "worker" in p.cmdline() or "controller" in p.cmdline()] == []
    assert hub.json("status")["controller"]["process"] == "stopped"
    reload = hub.run("reload")
    assert reload.returncode == 1
    assert "Start it with: mlxhub start" in reload.stderr
    hub.ok("start")
    status = hub.json("status")
    assert (status["controller"]["process"], status["models"][0]["process"]) == ("running", "running")

    hub.ok("stop-model", "demo")
    hub.ok("reload")
    assert hub.model("demo")["process"] == "stopped"
    hub.ok("install")
    assert hub.model("demo")["process"] == "running"
    assert "Nothing to do" in hub.ok("install")


def test_a_hub_moves_to_another_port_and_another_prefix_by_install(hub: LiveHub) -> None:
    hub.write(DEMO)
    hub.ok("install")
    moved = replace(hub, port=free_ports(1)[0], prefix=f"{hub.prefix}.next")
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        hub.write(DEMO, port=stranger.getsockname()[1])
        done = hub.run("install")
        assert done.returncode == 1
        assert "is held by pid" in done.stderr
    with hub.client() as client:  # what ran, runs on
        assert [model.id for model in client.models.list()] == ["demo"]

    hub.write(DEMO, label_prefix=moved.prefix)
    done = hub.run("reload")
    assert done.returncode == 1
    assert "label_prefix" in done.stderr
    moved.write(DEMO)
    moved.ok("install")
    status = moved.json("status")
    assert (status["controller"]["port"], status["controller"]["label"]) == (
        moved.port,
        f"{moved.prefix}.controller",
    )
    assert status["models"][0]["process"] == "running"
    assert len([p for p in hub.processes() if "worker" in p.cmdline()]) == 1
    assert sorted(path.stem for path in (hub.home / "LaunchAgents").iterdir()) == [
        f"{moved.prefix}.controller",
        f"{moved.prefix}.worker.demo",
    ]


@pytest.mark.skipif(sys.platform == "darwin", reason="whoever runs this on a Mac has a session")
def test_without_a_supervisor_the_exit_code_is_3(hub: LiveHub) -> None:
    hub.write(DEMO)
    done = hub.run("status")
    assert done.returncode == 3
    assert "mlxhub start" in done.stderr


def test_a_port_held_by_a_stranger_is_named_before_the_first_step(hub: LiveHub) -> None:
    hub.write(DEMO)
    with socket.create_server(("127.0.0.1", hub.port)):
        done = hub.run("install")
        told = json.loads(hub.run("install", "--json").stdout)
    assert done.returncode == 1
    assert f"Port {hub.port} is held by pid" in done.stderr
    assert list(hub.home.rglob("*.plist")) == []
    (failed,) = told["failed"]
    assert failed["label"] == f"{hub.prefix}.controller"
    assert "is held by pid" in failed["message"]
    assert told["done"] == []


def test_a_model_whose_port_a_stranger_holds_fails_alone_and_recovers(hub: LiveHub) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        hub.write(DEMO, f"{{name: second, model_path: 'builtin:demo', port: {port}}}")
        done = hub.run("install")
        assert done.returncode == 1
        assert f"Port {port} is held by pid" in done.stderr
        view = hub.model("second")
        assert view["process"] == "failed"
        assert f"Port {port} is held by pid" in view["error"]
        assert f"pid {os.getpid()}" in view["error"]
        assert hub.model("demo")["process"] == "running"
    eventually(lambda: hub.model("second")["process"] == "running", 30)
