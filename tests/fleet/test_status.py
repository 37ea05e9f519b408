"""From facts to what people are told."""

from dataclasses import replace
from pathlib import Path

import pytest

from mlxhub.core.config import HubConfig, ModelConfig
from mlxhub.core.lifecycle import ModelState, ProcessState
from mlxhub.core.limits import GroupLimit, Holder, HubLimits, ModelLimit
from mlxhub.core.observed import AgentState, PortHolder
from mlxhub.fleet.facts import ModelFacts
from mlxhub.fleet.holdings import NOTHING_HELD, Holdings
from mlxhub.fleet.hub import Hub, HubModel
from mlxhub.fleet.status import Clocks, hub_status, model_view
from mlxhub.protocol.hub import ControllerView
from mlxhub.protocol.worker import BatchStatus, CounterStatus, MemoryStatus, WorkerStatus
from tests.fakes.run_files import run_files_in

NOW = Clocks(monotonic=1000.0, unix=1_700_000_000.0)
LABEL = "io.mlxhub.worker.alpha"
ALPHA = HubModel(
    config=ModelConfig(name="alpha", model_path="builtin:demo", aliases=("a",)),
    port=47850,
    label=LABEL,
    plist=Path("/agents/alpha.plist"),
    generation="g1",
    run_files=run_files_in(Path("/logs"), "alpha"),
)
HUB = Hub(HubConfig(models=(ALPHA.config,)), "io.mlxhub.controller", {"alpha": ALPHA}, {"alpha": "alpha"})
CONTROLLER = ControllerView(
    process=ProcessState.RUNNING, pid=1, host="127.0.0.1", port=8000, label="io.mlxhub.controller"
)
WORKER = WorkerStatus(
    name="alpha",
    pid=77,
    generation="g1",
    model_path="builtin:demo",
    model_type="lm",
    model_status=ModelState.READY,
    context_length=512,
    in_flight=2,
    queued=1,
    batch=BatchStatus(rows=2, max_rows=8, peak_rows=2),
    memory=MemoryStatus(footprint_bytes=123),
    counters=CounterStatus(),
    uptime_seconds=50,
    idle_seconds=5,
    unload_in_seconds=30,
)
AGENT = AgentState(LABEL, ProcessState.RUNNING, pid=77, generation="g1", runs=3, last_exit="exit 1")
ANSWERED = ModelFacts(
    silent_since=None,
    worker=WORKER,
    answered_at=999,
    agent=AGENT,
    inspected_at=900,
    pid_seen_at=900,
)
SILENT = replace(ANSWERED, silent_since=1000, silence="it says nothing.", answered_at=988)


def test_durations_of_the_worker_become_times_for_people() -> None:
    view = model_view(ALPHA, ANSWERED, NOW)
    assert (view.started_at, view.last_activity_at, view.unload_at) == (
        1_699_999_949.0,
        1_699_999_994.0,
        1_700_000_029.0,
    )
    assert view.facts_age_seconds == 1.0


def test_a_worker_that_answers_runs_and_its_restarts_are_counted() -> None:
    view = model_view(ALPHA, ANSWERED, NOW)
    assert (view.process, view.memory, view.pid) == (ProcessState.RUNNING, ModelState.READY, 77)
    assert (view.restarts, view.last_exit, view.error) == (2, "exit 1", None)
    assert (view.in_flight, view.queued, view.context_length, view.aliases) == (2, 1, 512, ["a"])


def test_a_model_nobody_looked_at_yet_is_unknown() -> None:
    view = model_view(ALPHA, None, NOW)
    assert (view.process, view.memory, view.pid) == (ProcessState.UNKNOWN, None, None)


def test_a_silent_worker_shows_its_last_facts_their_age_and_no_memory_state() -> None:
    view = model_view(ALPHA, SILENT, NOW)
    assert (view.process, view.memory, view.error) == (ProcessState.RUNNING, None, "it says nothing.")
    assert (view.memory_bytes, view.facts_age_seconds) == (123, 12.0)


def test_a_draining_worker_is_stopping() -> None:
    draining = replace(ANSWERED, worker=WORKER.model_copy(update={"draining": True}))
    assert model_view(ALPHA, draining, NOW).process is ProcessState.STOPPING


def test_a_failed_load_is_told() -> None:
    failed = WORKER.model_copy(update={"model_status": ModelState.UNLOADED, "error": "no such directory"})
    view = model_view(ALPHA, replace(ANSWERED, worker=failed), NOW)
    assert (view.memory, view.error) == (ModelState.UNLOADED, "no such directory")


@pytest.mark.parametrize(
    ("since", "error"), [(990.0, None), (900.0, "it says nothing. Its log: /logs/alpha.log")]
)
def test_a_process_that_never_answered_is_starting_and_in_time_an_error(
    since: float, error: str | None
) -> None:
    facts = ModelFacts(silent_since=1000, silence="it says nothing.", agent=AGENT, pid_seen_at=since)
    view = model_view(ALPHA, facts, NOW)
    assert (view.process, view.memory, view.error) == (ProcessState.STARTING, None, error)


def test_a_stranger_on_the_port_makes_the_model_failed_and_is_named() -> None:
    agent = replace(AGENT, process=ProcessState.THROTTLED, pid=None)
    facts = ModelFacts(silent_since=1000, agent=agent, holder=PortHolder(5, "nc -l"))
    view = model_view(ALPHA, facts, NOW)
    assert view.process is ProcessState.FAILED
    assert view.error is not None
    assert "pid 5 (nc -l)" in view.error


def test_what_is_kept_down_is_failed_and_says_why() -> None:
    down = replace(AGENT, process=ProcessState.STOPPED, pid=None, last_exit="exit 0")
    facts = ModelFacts(silent_since=1000, agent=down, parked="It died 5 times.")
    view = model_view(ALPHA, facts, NOW)
    assert (view.process, view.error) == (ProcessState.FAILED, "It died 5 times.")
    held = replace(facts, holder=PortHolder(5, "nc -l"))
    assert model_view(ALPHA, held, NOW).error == "It died 5 times."


def test_a_note_does_not_speak_for_a_process_that_is_there_or_an_agent_that_is_not() -> None:
    starting = ModelFacts(silent_since=1000, agent=AGENT, parked="It died 5 times.", pid_seen_at=999.0)
    assert model_view(ALPHA, starting, NOW).process is ProcessState.STARTING
    gone = replace(AGENT, process=ProcessState.NOT_INSTALLED, pid=None)
    view = model_view(ALPHA, ModelFacts(silent_since=1000, agent=gone, parked="It died 5 times."), NOW)
    assert view.process is ProcessState.NOT_INSTALLED


def test_a_crash_loop_says_how_it_ended_and_where_the_log_is() -> None:
    agent = replace(AGENT, process=ProcessState.THROTTLED, pid=None)
    view = model_view(ALPHA, ModelFacts(silent_since=1000, agent=agent), NOW)
    assert (view.process, view.error) == (
        ProcessState.THROTTLED,
        "its process ended (exit 1). Its log: /logs/alpha.log",
    )


def test_while_launchd_is_silent_what_runs_is_unknown_unless_the_worker_answers() -> None:
    silent = ModelFacts(silent_since=1000, agent=AGENT, launchd_error="launchctl did not finish.")
    view = model_view(ALPHA, silent, NOW)
    assert (view.process, view.error) == (ProcessState.UNKNOWN, "launchctl did not finish.")
    answered = replace(ANSWERED, launchd_error="launchctl did not finish.")
    assert model_view(ALPHA, answered, NOW).process is ProcessState.RUNNING


def test_counts_and_warnings() -> None:
    older = replace(ANSWERED, agent=replace(AGENT, generation="g0"), launchd_error="no answer.")
    status = hub_status(HUB, {"alpha": older}, CONTROLLER, NOW, NOTHING_HELD)
    assert (status.counts.models, status.counts.running, status.counts.loaded) == (1, 1, 1)
    assert status.warnings == [
        "launchd does not answer, process states are not known for sure: no answer.",
        'Model "alpha" runs with an older definition than hub.yaml\'s. Apply it with: mlxhub reload',
    ]


def test_a_model_that_may_run_code_of_its_own_is_named() -> None:
    trusted = replace(ALPHA, config=ALPHA.config.model_copy(update={"trust_remote_code": True}))
    hub = replace(HUB, models={"alpha": trusted})
    status = hub_status(hub, {}, CONTROLLER, NOW, NOTHING_HELD)
    assert [view.trust_remote_code for view in status.models] == [True]
    assert status.warnings == [
        'Model "alpha" may run code that its authors wrote, as you: hub.yaml says trust_remote_code: true.'
    ]


@pytest.mark.parametrize(("configured", "runs"), [(True, False), (False, True)])
def test_what_runs_tells_whether_it_may_run_code_of_its_model(configured: bool, runs: bool) -> None:
    model = replace(ALPHA, config=ALPHA.config.model_copy(update={"trust_remote_code": configured}))
    worker = WORKER.model_copy(update={"trust_remote_code": runs})
    assert model_view(model, replace(ANSWERED, worker=worker), NOW).trust_remote_code is runs
    assert model_view(model, None, NOW).trust_remote_code is configured


def test_groups_and_memory_are_told_by_who_holds_them_also_where_workers_are_silent() -> None:
    limits = HubLimits(
        5_000_000_000,
        (GroupLimit("large", 2, None), GroupLimit("small", 1, None)),
        {"alpha": ModelLimit("large", None, pinned=False)},
    )
    holdings = Holdings(limits, (Holder("alpha", 3_000_000_000), Holder("gone", 7)))
    status = hub_status(HUB, {"alpha": SILENT}, CONTROLLER, NOW, holdings)
    assert [group.model_dump() for group in status.groups] == [
        {"name": "large", "max_loaded": 2, "loaded": ["alpha"]},
        {"name": "small", "max_loaded": 1, "loaded": []},
    ]
    assert status.memory.model_dump() == {
        "limit_bytes": 5_000_000_000,
        "reserved_bytes": 3_000_000_007,
        "holders": [
            {"name": "alpha", "reserved_bytes": 3_000_000_000},
            {"name": "gone", "reserved_bytes": 7},
        ],
    }


def test_what_cannot_be_known_and_groups_that_are_not_defined_are_warnings() -> None:
    lost = ModelConfig(name="alpha", model_path="x", group="nowhere")
    hub = replace(HUB, config=HubConfig(models=(lost,)))
    status = hub_status(hub, {}, CONTROLLER, NOW, Holdings(error="limits.json cannot be read."))
    assert status.warnings == [
        'model "alpha": its group "nowhere" is not defined under groups, so nothing limits it.',
        "What models hold of memory and groups is not known: limits.json cannot be read.",
    ]
