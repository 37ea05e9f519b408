"""Plan, apply and roll back a hub that runs."""

import json
import os
import re
import signal
from datetime import datetime
from pathlib import Path

import httpx

from tests.eventually import eventually
from tests.fakes.ports import free_ports
from tests.fakes.strangers import curt_stranger
from tests.stories.conftest import LiveHub

DEMO = "{name: demo, model_path: 'builtin:demo'}"
OTHER = "{name: other, model_path: 'builtin:demo', queue_size: 5}"
LAZY = "{name: lazy, model_path: 'builtin:demo', default: false}"


def pids(hub: LiveHub) -> dict[str, int | None]:
    return {model["name"]: model["pid"] for model in hub.json("status")["models"]}


def test_a_plan_names_the_keys_and_what_restarts_and_apply_carries_it_out(hub: LiveHub) -> None:
    hub.write(DEMO, OTHER, LAZY)
    hub.ok("install")
    before = pids(hub)
    hub.write(DEMO, OTHER.replace("5", "6"), "{name: new, model_path: 'builtin:demo'}")
    shown = hub.ok("plan").splitlines()
    assert [line.strip() for line in shown[:6]] == [
        f"= {hub.prefix}.controller",
        f"= {hub.prefix}.worker.demo",
        f"~ {hub.prefix}.worker.other  (restarts)",
        "queue_size: 5 -> 6",
        f"+ {hub.prefix}.worker.new  (starts)",
        f"- {hub.prefix}.worker.lazy",
    ]
    assert pids(hub) == before
    planned = hub.json("plan")
    assert planned["changes"][f"{hub.prefix}.worker.other"] == "change"
    assert planned["stages"] == [
        [f"{hub.prefix}.worker.lazy"],
        [f"{hub.prefix}.worker.other"],
        [f"{hub.prefix}.worker.new"],
    ]

    applied = hub.json("apply")
    assert set(applied["done"]) == {f"{hub.prefix}.worker.{name}" for name in ("other", "new", "lazy")}
    assert (applied["failed"], applied["not_begun"], applied["next"]) == ([], [], None)
    after = pids(hub)
    assert after.keys() == {"demo", "other", "new"}
    assert after["demo"] == before["demo"]
    assert after["other"] not in (None, before["other"])
    assert "Nothing to do" in hub.ok("plan")
    assert "Nothing to do" in hub.ok("apply")


def test_two_models_swap_ports_and_a_third_is_not_touched(hub: LiveHub) -> None:
    first, second = hub.first_port, hub.first_port + 1

    def models(a: int, b: int) -> list[str]:
        return [
            f"{{name: {name}, model_path: 'builtin:demo', port: {port}}}"
            for name, port in (("a", a), ("b", b))
        ]

    hub.write(*models(first, second), DEMO)
    hub.ok("install")
    before = pids(hub)
    hub.write(*models(second, first), DEMO)
    hub.ok("apply")
    ports = {model["name"]: model["port"] for model in hub.json("status")["models"]}
    assert (ports["a"], ports["b"]) == (second, first)
    after = pids(hub)
    assert (after["demo"], None in after.values()) == (before["demo"], False)


def test_the_first_change_that_fails_ends_the_rollout_and_rollback_undoes_it(hub: LiveHub) -> None:
    """The first model gets a port that is taken: the second, which changes too, is never begun."""
    hub.write(OTHER, DEMO)
    hub.ok("install")
    good = (hub.home / "hub.yaml").read_text()
    before = pids(hub)
    with curt_stranger() as port:
        taken = f"{OTHER[:-1]}, port: {port}}}"
        hub.write(taken, DEMO.replace("}", ", queue_size: 7}"), LAZY)
        done = hub.run("apply")
        assert done.returncode == 1
        assert f"worker.other: Port {port} is held by pid {os.getpid()}" in done.stderr
        assert f"Not begun: {hub.prefix}.worker.demo, {hub.prefix}.worker.lazy" in done.stderr
        assert "mlxhub rollback" in done.stderr
        assert pids(hub)["demo"] == before["demo"]

        again = hub.run("apply")  # what failed is tried first: nothing else is interrupted for it
        assert again.returncode == 1
        assert pids(hub)["demo"] == before["demo"]

        reloaded = hub.run("reload")
        assert reloaded.returncode == 1
        assert "other: Port" in reloaded.stderr

        broken = (hub.home / "hub.yaml").read_text()
        said = hub.ok("rollback")
        assert "generation 1" in said
    assert (hub.home / "hub.yaml").read_text() == good
    assert (hub.home / "hub.yaml.before-rollback").read_text() == broken
    assert {model["process"] for model in hub.json("status")["models"]} == {"running"}
    assert pids(hub)["demo"] == before["demo"]
    assert "Nothing to do" in hub.ok("plan")


def test_rollback_goes_back_step_by_step_and_says_when_there_is_no_more(hub: LiveHub) -> None:
    texts = []
    for queue_size in (5, 6, 7):
        hub.write(OTHER.replace("5", str(queue_size)))
        texts.append((hub.home / "hub.yaml").read_text())
        hub.ok("install" if queue_size == 5 else "apply")
    assert [(each["number"], each["good"]) for each in hub.json("rollback", "--list")["generations"]] == [
        (1, True),
        (2, True),
        (3, True),
    ]
    for text in (texts[1], texts[0]):
        hub.ok("rollback")
        assert (hub.home / "hub.yaml").read_text() == text
        assert "Nothing to do" in hub.ok("plan")
    done = hub.run("rollback")
    assert done.returncode == 1
    assert "no earlier good generation" in done.stderr
    hub.ok("rollback", "--to", "3")
    assert (hub.home / "hub.yaml").read_text() == texts[2]
    assert "*   3" in hub.ok("rollback", "--list")
    assert hub.run("rollback", "--to", "9").returncode == 1


def test_a_controller_that_changes_comes_first_and_the_models_follow(hub: LiveHub) -> None:
    hub.write(DEMO)
    hub.ok("install")
    before = hub.json("status")
    hub.write(DEMO.replace("}", ", queue_size: 7}"), log_level="WARNING")
    hub.ok("apply")
    after = hub.json("status")
    assert after["controller"]["pid"] not in (None, before["controller"]["pid"])
    assert after["models"][0]["pid"] not in (None, before["models"][0]["pid"])
    assert "Nothing to do" in hub.ok("plan")


def test_a_controller_that_starts_with_a_faulty_hub_yaml_serves_what_was_last_applied(hub: LiveHub) -> None:
    hub.write(DEMO)
    hub.ok("install")
    good = (hub.home / "hub.yaml").read_text()
    line = len(good.splitlines()) + 1
    (hub.home / "hub.yaml").write_text(good + "  - {name: Bad!, prot: 7}\n")
    pid = hub.json("status")["controller"]["pid"]
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: hub.json("status")["controller"]["pid"] not in (None, pid), 30)
    eventually(lambda: hub.json("status")["controller"]["process"] == "running", 30)
    with hub.client() as client:
        assert [model.id for model in client.models.list()] == ["demo"]
    warnings = httpx.get(f"{hub.url}/hub/status", headers=hub.bearer("admin")).json()["warnings"]
    assert any(f"hub.yaml:{line}: " in warning for warning in warnings)
    assert f"hub.yaml:{line}: " in (hub.home / "logs" / "controller.log").read_text()
    (hub.home / "hub.yaml").write_text(good)
    hub.ok("reload")
    assert httpx.get(f"{hub.url}/hub/status", headers=hub.bearer("admin")).json()["warnings"] == []


def plist_of(hub: LiveHub, name: str) -> Path:
    return hub.home / "LaunchAgents" / f"{hub.prefix}.worker.{name}.plist"


def test_a_plist_that_somebody_edited_is_left_alone_until_force_and_never_lost(hub: LiveHub) -> None:
    hub.write(DEMO, OTHER)
    hub.ok("install")
    before = pids(hub)
    edited = plist_of(hub, "other").read_bytes().replace(b"Interactive", b"Standard")
    plist_of(hub, "other").write_bytes(edited)
    assert f"! {hub.prefix}.worker.other  ({plist_of(hub, 'other')} was edited" in hub.ok("plan")
    for command in ("install", "apply", "reload"):
        done = hub.run(command)
        assert done.returncode == 1, command
        assert f"{plist_of(hub, 'other')} was edited" in done.stderr
        assert "mlxhub apply --force" in done.stderr
    assert plist_of(hub, "other").read_bytes() == edited
    assert pids(hub) == before

    hub.ok("apply", "--force")
    assert b"Interactive" in plist_of(hub, "other").read_bytes()
    kept = hub.home / "state" / "replaced" / plist_of(hub, "other").name
    assert kept.read_bytes() == edited

    later = plist_of(hub, "demo").read_bytes().replace(b"Interactive", b"Standard")
    plist_of(hub, "demo").write_bytes(later)
    said = hub.ok("uninstall")
    assert "a copy is kept" in said
    assert (hub.home / "state" / "replaced" / plist_of(hub, "demo").name).read_bytes() == later
    assert hub.processes() == []
    hub.ok("uninstall", "--purge")
    assert kept.read_bytes() == edited


def test_after_force_the_router_reaches_what_changed_and_what_is_new(hub: LiveHub) -> None:
    """The controller runs on all the while: it is told."""
    hub.write(DEMO)
    hub.ok("install")
    pid = hub.json("status")["controller"]["pid"]
    port = free_ports(1)[0]
    hub.write(f"{DEMO[:-1]}, port: {port}}}", OTHER)
    hub.ok("apply", "--force")
    assert hub.json("status")["controller"]["pid"] == pid
    with hub.client() as client:
        for name in ("demo", "other"):
            answer = client.chat.completions.create(
                model=name, messages=[{"role": "user", "content": "ping"}]
            )
            assert answer.choices[0].message.content == "pong"


def test_a_rollback_that_is_refused_changes_neither_hub_yaml_nor_the_history(hub: LiveHub) -> None:
    for queue_size in ("5", "6"):
        hub.write(OTHER.replace("5", queue_size))
        hub.ok("install")
    text = (hub.home / "hub.yaml").read_bytes()
    history = hub.json("rollback", "--list")
    edited = plist_of(hub, "other").read_bytes().replace(b"Interactive", b"Standard")
    plist_of(hub, "other").write_bytes(edited)
    done = hub.run("rollback", "--json")
    assert done.returncode == 1
    (failed,) = json.loads(done.stdout)["failed"]
    assert failed["label"] == f"{hub.prefix}.worker.other"
    assert "was edited" in failed["message"]
    assert (hub.home / "hub.yaml").read_bytes() == text
    assert hub.json("rollback", "--list") == history


def test_a_hub_yaml_with_line_ends_of_windows_is_rolled_back_too(hub: LiveHub) -> None:
    texts = []
    for queue_size in ("5", "6"):
        hub.write(OTHER.replace("5", queue_size))
        texts.append((hub.home / "hub.yaml").read_bytes().replace(b"\n", b"\r\n"))
        (hub.home / "hub.yaml").write_bytes(texts[-1])
        hub.ok("install")
    hub.ok("rollback")
    assert (hub.home / "hub.yaml").read_bytes() == texts[0]


def test_a_lost_list_of_files_is_made_again_by_install(hub: LiveHub) -> None:
    hub.write(DEMO)
    hub.ok("install")
    before = pids(hub)
    (hub.home / "state" / "manifest.json").unlink()
    hub.ok("install")
    assert pids(hub) == before
    hub.ok("uninstall")
    assert hub.processes() == []


def test_many_models_come_up_beside_each_other(hub: LiveHub) -> None:
    """The next one starts before the one before it answers. What that saves, benchmarks/fleet.py measures."""
    names = [f"m{number}" for number in range(6)]
    hub.write(*(f"{{name: {name}, model_path: 'builtin:demo'}}" for name in names))
    hub.ok("install")
    assert None not in pids(hub).values()
    supervisor = (hub.home / "logs" / "launchd.log").read_text().splitlines()
    started = [moment(line) for line in supervisor if re.search(r"worker\.m\d: pid \d+ started", line)]
    served = sorted(
        moment(line)
        for name in names
        for line in (hub.home / "logs" / f"{name}.log").read_text().splitlines()
        if "is served at" in line
    )
    assert len(started) == len(served) == len(names)
    assert sum(after < before for before, after in zip(served, sorted(started)[1:], strict=False)) >= 3


def moment(line: str) -> datetime:
    return datetime.fromisoformat(line.split(maxsplit=1)[0])
