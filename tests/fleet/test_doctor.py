"""Judging what was seen of a hub: each fault under its check, and no fault where there is none."""

import os
import socket
import stat
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mlxhub.core.agents import RenderedAgent, Runtime, render_hub
from mlxhub.core.checks import Check, CheckStatus, Finding, fail, ok, worst_first
from mlxhub.core.config import HubConfig, ModelConfig
from mlxhub.core.lifecycle import ProcessState
from mlxhub.core.observed import AgentState, PortHolder
from mlxhub.core.paths import Paths
from mlxhub.core.plan import Ownership
from mlxhub.errors import Fault
from mlxhub.files.machine import Machine, this_machine
from mlxhub.files.probes import CheckpointSeen
from mlxhub.fleet.doctor import agents, disk, hub_yaml, mac, memory, models, ports, session
from mlxhub.fleet.doctor.agent_files import properties_of
from mlxhub.fleet.doctor.examine import CHECKS, examine
from mlxhub.fleet.doctor.found import AgentFound, Answers, Found, PlistFile
from mlxhub.fleet.facts import ModelFacts
from mlxhub.fleet.hub import make_hub

DOCUMENTED = Path(__file__).parents[2] / "docs" / "operations.md"
ALPHA = "io.mlxhub.worker.alpha"
CONTROLLER = "io.mlxhub.controller"


@pytest.fixture
def machine(paths: Paths) -> Machine:
    return replace(this_machine(), paths=paths, home=paths.config.parent, is_mac=False, refuses_root=False)


@pytest.fixture
def found(machine: Machine, paths: Paths) -> Found:
    """A hub with one eager model; all of it is installed, loaded and running."""
    paths.config.write_text("models: []\n")
    config = HubConfig(models=(ModelConfig(name="alpha", model_path="org/alpha"),))
    rendered = render_hub(config, {"alpha": 47850}, paths, Runtime("/py", {"HOME": "/home/ann"}, "build"))
    return Found(
        machine=machine,
        paths=paths,
        faults=(),
        config=config,
        hub=make_hub(config, {"alpha": 47850}, paths, rendered),
        agents=tuple(_agent(agent, paths) for agent in rendered.values()),
        state_fault=None,
        launchd_fault=None,
        answers=Answers({"alpha": ModelFacts(silent_since=None)}, controller_pid=4242),
        locations={"alpha": "/models/alpha"},
        checkpoints={"alpha": CheckpointSeen("/models/alpha", None, 4_000_000_000)},
    )


def _agent(desired: RenderedAgent, paths: Paths) -> AgentFound:
    path = paths.plist(desired.label)
    properties = properties_of(desired.plist)
    file = PlistFile(path, desired.plist, properties, stat.S_IFREG | 0o644, os.getuid(), is_regular=True)
    state = AgentState(
        desired.label, ProcessState.RUNNING, pid=4242, generation=desired.generation, plist_path=str(path)
    )
    return AgentFound(
        desired.label, desired, file, state, disabled=False, parked=None, ownership=Ownership.OURS
    )


def _with(found: Found, **changes: object) -> Found:
    """The model's agent is otherwise."""
    altered = (replace(a, **changes) if a.label == ALPHA else a for a in found.agents)  # type: ignore[arg-type]
    return replace(found, agents=tuple(altered))


def _state(process: ProcessState, **facts: object) -> AgentState:
    return AgentState(ALPHA, process, **facts)  # type: ignore[arg-type]


PURE = [
    agents.written, agents.ours, agents.file_rights, agents.leftovers, agents.switched_on, agents.loaded,
    agents.place,
    agents.startable, agents.running, agents.parked, hub_yaml.valid, hub_yaml.state, session.session,
    models.files, models.cached, memory.fits, ports.known,
]  # fmt: skip


@pytest.mark.parametrize("check", PURE, ids=lambda check: f"{check.__module__}.{check.__name__}")
def test_a_healthy_hub_has_no_fault(found: Found, check: Callable[[Found], list[Finding]]) -> None:
    assert [finding.status for finding in check(found)] == [CheckStatus.OK]


AGENT_FAULTS = [
    (agents.written, {"file": None}, "fail", "not installed"),
    (agents.ours, {"ownership": Ownership.EDITED}, "fail", "was edited"),
    (agents.ours, {"ownership": Ownership.FOREIGN}, "fail", "not written by mlxhub"),
    (agents.leftovers, {"desired": None}, "warn", "names no such model"),
    (agents.switched_on, {"disabled": True}, "fail", "launchctl disable"),
    (agents.loaded, {"state": _state(ProcessState.NOT_INSTALLED)}, "fail", "has not loaded it"),
    (agents.loaded, {"state": _state(ProcessState.RUNNING, generation="old")}, "fail", "another definition"),
    (
        agents.place,
        {"state": _state(ProcessState.RUNNING, plist_path="/other.plist")},
        "fail",
        "/other.plist",
    ),
    (agents.running, {"state": _state(ProcessState.STOPPED, last_exit="exit 0")}, "warn", "was stopped"),
    (agents.running, {"state": _state(ProcessState.STOPPED, last_exit="exit 1")}, "fail", "exit 1"),
    (agents.running, {"state": _state(ProcessState.THROTTLED, last_exit="signal Killed")}, "fail", "waits"),
    (agents.startable, {"state": _state(ProcessState.FAILED)}, "fail", "spawn failed"),
    (
        agents.startable,
        {"state": _state(ProcessState.STOPPED, pended=True)},
        "warn",
        "only starts what is asked for",
    ),
    (
        agents.startable,
        {"state": _state(ProcessState.STOPPED, exit_reason="OS_REASON_CODESIGNING")},
        "fail",
        "was ended by macOS",
    ),
    (agents.parked, {"parked": "It died five times."}, "fail", "It died five times."),
]


@pytest.mark.parametrize(("check", "changes", "status", "text"), AGENT_FAULTS)
def test_a_fault_of_one_agent_is_named_with_what_to_do(
    found: Found,
    check: Callable[[Found], list[Finding]],
    changes: dict[str, object],
    status: str,
    text: str,
) -> None:
    (finding,) = check(_with(found, **changes))
    assert (finding.status, text in finding.text, bool(finding.fix)) == (status, True, True), finding


def test_a_model_that_no_person_asked_for_at_login_may_be_down(found: Found) -> None:
    lazy = dict(found.agents[1].file.properties if found.agents[1].file else {}, RunAtLoad=False)
    file = replace(found.agents[1].file, properties=lazy) if found.agents[1].file else None
    down = _with(found, file=file, state=_state(ProcessState.STOPPED))
    assert [finding.status for finding in agents.running(down)] == [CheckStatus.OK]


def test_a_parked_model_is_not_also_reported_as_not_running(found: Found) -> None:
    down = _with(found, parked="It died.", state=_state(ProcessState.STOPPED, last_exit="exit 1"))
    assert [finding.status for finding in agents.running(down)] == [CheckStatus.OK]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"mode": stat.S_IFREG | 0o666}, "mode 0666"),
        ({"owner": 12345}, "user 12345"),
        ({"is_regular": False}, "not a regular file"),
        ({"properties": {}}, "property list"),
    ],
)
def test_launchd_would_refuse_such_a_file(found: Found, change: dict[str, object], text: str) -> None:
    file = found.agents[1].file
    assert file is not None
    (finding,) = agents.file_rights(_with(found, file=replace(file, **change)))  # type: ignore[arg-type]
    assert (finding.status, text in finding.text) == ("fail", True)


def test_without_launchd_its_checks_are_skipped_and_the_session_fails(found: Found) -> None:
    silent = replace(found, launchd_fault="launchd has no gui/501.")
    (finding,) = session.session(silent)
    assert (finding.status, finding.text) == ("fail", "launchd has no gui/501.")
    no_session = replace(found, launchd_fault=f"launchd has no gui/501. {found.machine.session_hint}")
    assert session.session(no_session) == [fail("launchd has no gui/501.", found.machine.session_hint)]
    for check in (agents.loaded, agents.running, agents.startable, ports.answering):
        assert [finding.status for finding in check(silent)] == [CheckStatus.SKIP]


def test_every_fault_of_hub_yaml_is_named(found: Found) -> None:
    faults = (Fault("hub.yaml", 3, "unknown key."), Fault("hub.yaml", 9, "twice."))
    broken = replace(found, config=None, hub=None, faults=faults)
    assert [finding.text for finding in hub_yaml.valid(broken)] == [
        "hub.yaml:3: unknown key.",
        "hub.yaml:9: twice.",
    ]
    assert models.files(broken)[0].status is CheckStatus.SKIP


def test_a_stranger_on_a_models_port_is_named(found: Found) -> None:
    stranger = ModelFacts(silent_since=1.0, holder=PortHolder(666, "nc -l"))
    finding = ports.held(replace(found, answers=Answers({"alpha": stranger}, 4242)))[0]
    assert (finding.status, finding.text) == ("fail", 'Model "alpha": Port 47850 is held by pid 666 (nc -l).')


def test_who_holds_the_controllers_port_is_named_unless_it_is_ours(found: Found) -> None:
    assert found.config is not None
    with socket.create_server(("127.0.0.1", 0)) as server:
        config = found.config.model_copy(update={"port": server.getsockname()[1]})
        held = replace(found, config=config, answers=Answers({}, controller_pid=None))
        finding = ports.held(held)[0]
        assert (finding.status, f"pid {os.getpid()}" in finding.text) == ("fail", True)
        worker = _with(held, state=_state(ProcessState.RUNNING, pid=os.getpid()))
        assert ports.held(worker)[0].status is CheckStatus.FAIL
        runs = replace(held.agents[0], state=AgentState(CONTROLLER, ProcessState.RUNNING, pid=os.getpid()))
        assert ports.held(replace(held, agents=(runs, *held.agents[1:])))[0].status is CheckStatus.OK


def test_a_question_that_broke_is_a_finding(found: Found) -> None:
    broken = replace(found, answers=Answers({}, None, ("Asking the models broke: OSError: no",)))
    assert "Asking the models broke: OSError: no" in [finding.text for finding in ports.answering(broken)]


def test_models_that_cannot_be_loaded_are_named(found: Found) -> None:
    gone = replace(
        found, checkpoints={"alpha": CheckpointSeen("/models/alpha", "there is no such directory")}
    )
    assert "/models/alpha: there is no such directory" in models.files(gone)[0].text
    missing = replace(found, checkpoints={}, locations={"alpha": "org/alpha"})
    assert models.cached(missing)[0].fix == "mlxhub models pull org/alpha"


def test_on_a_mac_models_in_guarded_places_are_warned_of(found: Found, machine: Machine) -> None:
    on_mac = replace(found, machine=replace(machine, is_mac=True, home=Path("/Users/ann")))
    for place in ("/Users/ann/Documents/alpha", "/Volumes/Disk/alpha"):
        assert models.guarded(replace(on_mac, locations={"alpha": place}))[0].status is CheckStatus.WARN
    inside = replace(on_mac, locations={"alpha": "/Users/ann/models/alpha"})
    assert models.guarded(inside)[0].status is CheckStatus.OK
    assert models.guarded(found)[0].status is CheckStatus.SKIP


@pytest.mark.parametrize(
    ("free", "status"), [(100_000_000, "fail"), (2_000_000_000, "warn"), (50_000_000_000, None)]
)
def test_a_full_disk_is_told_before_it_is_full(free: int, status: str | None) -> None:
    finding = disk._space(Path("/models"), free)
    assert (finding.status if finding else None) == status


def test_what_a_mac_says_of_itself() -> None:
    assert mac.judge_priority("io.mlxhub.controller", "31T\n") is None
    background = mac.judge_priority("io.mlxhub.controller", " 4 \n")
    assert background is not None
    assert background.status is CheckStatus.FAIL
    assert (
        mac.judge_sleep("Currently in use:\n standby 1\n sleep    1 (imposed)\n").status is CheckStatus.WARN
    )
    assert mac.judge_sleep(" displaysleep 10\n sleep    0\n").status is CheckStatus.OK
    assert mac.judge_sleep("").status is CheckStatus.SKIP
    assert "FileVault is on" in mac.judge_headless(file_vault=True, automatic_login=False).text


def test_a_check_that_breaks_or_hangs_says_so_and_the_others_go_on(found: Found) -> None:
    never = threading.Event()

    def breaks(_found: Found) -> list[Finding]:
        raise ZeroDivisionError("by nothing")

    def hangs(_found: Found) -> list[Finding]:
        never.wait(10)
        return []

    made = examine(found, {"a": breaks, "b": hangs, "c": lambda _found: [ok("well")]}, seconds=0.1)
    never.set()
    assert [(check.id, check.status) for check in made] == [("a", "fail"), ("b", "fail"), ("c", "ok")]
    assert "ZeroDivisionError" in made[0].finding
    assert "did not finish within 0.1 s" in made[1].finding


def test_people_see_the_worst_first() -> None:
    statuses = ("ok", "skip", "fail", "warn", "fail")
    checks = [Check(str(number), CheckStatus(status), "", None) for number, status in enumerate(statuses)]
    assert [check.id for check in worst_first(checks)] == ["2", "4", "3", "0", "1"]


def test_every_check_is_documented_under_its_id() -> None:
    rows = [line.split("|")[1] for line in DOCUMENTED.read_text().splitlines() if line.startswith("| `")]
    documented = [word.strip("` ") for row in rows for word in row.split(",")]
    assert [name for name in documented if "." in name] == list(CHECKS)
