"""What has changed between two looks at a model, in words."""

from dataclasses import replace

import pytest

from mlxhub.core.lifecycle import ModelState, ProcessState
from mlxhub.core.observed import AgentState
from mlxhub.fleet.facts import ModelFacts
from mlxhub.fleet.happenings import Happening, happenings
from mlxhub.protocol.worker import BatchStatus, CounterStatus, MemoryStatus, WorkerStatus

IDLE = WorkerStatus(
    name="m",
    pid=7,
    generation="g1",
    model_path="builtin:demo",
    model_type="lm",
    model_status=ModelState.UNLOADED,
    batch=BatchStatus(rows=0, max_rows=8, peak_rows=0),
    memory=MemoryStatus(footprint_bytes=1),
    counters=CounterStatus(),
    uptime_seconds=1,
)
RUNS = AgentState("io.mlxhub.worker.m", ProcessState.RUNNING, pid=7)
STOPPED = AgentState("io.mlxhub.worker.m", ProcessState.STOPPED, last_exit="exit 0")
SERVES = ModelFacts(silent_since=None, worker=IDLE, agent=RUNS)
DOWN = ModelFacts(silent_since=1.0, agent=STOPPED)


def seen(last: ModelFacts | None, now: ModelFacts) -> list[Happening]:
    return list(happenings("m", last, now))


def with_memory(state: ModelState, **more: object) -> ModelFacts:
    return replace(SERVES, worker=IDLE.model_copy(update={"model_status": state, **more}))


def test_nothing_new_is_no_event() -> None:
    assert seen(SERVES, SERVES) == []
    assert seen(DOWN, DOWN) == []


def test_the_first_look_at_a_running_one_is_an_adoption() -> None:
    [adopted] = seen(None, SERVES)
    assert (adopted.kind, adopted.process, adopted.memory, adopted.pid) == (
        "model.running",
        ProcessState.RUNNING,
        ModelState.UNLOADED,
        7,
    )
    assert "adopted its running process (pid 7)" in adopted.message


def test_a_process_that_ends_says_how() -> None:
    [ended] = seen(SERVES, DOWN)
    assert (ended.kind, ended.memory, ended.last_exit) == ("model.stopped", None, "exit 0")
    assert "last exit 0" in ended.message


def test_another_process_is_an_event_though_the_state_is_the_same() -> None:
    another = replace(SERVES, worker=IDLE.model_copy(update={"pid": 8}), agent=replace(RUNS, pid=8))
    [replaced] = seen(SERVES, another)
    assert (replaced.kind, replaced.pid) == ("model.running", 8)


@pytest.mark.parametrize("state", [ModelState.LOADING, ModelState.READY, ModelState.UNLOADING])
def test_each_state_of_memory_is_an_event(state: ModelState) -> None:
    [changed] = seen(SERVES, with_memory(state))
    assert (changed.kind, changed.memory) == (f"model.{state}", state)
    [back] = seen(with_memory(state), SERVES)
    assert back.kind == "model.unloaded"


def test_one_that_was_silent_for_a_while_is_not_loaded_again() -> None:
    loaded = with_memory(ModelState.READY)
    silent = replace(loaded, silent_since=5.0, silence="no answer")
    assert seen(loaded, silent) == []
    assert seen(silent, loaded) == []


def test_a_new_process_that_has_loaded_already_is_two_events() -> None:
    loaded = with_memory(ModelState.READY, pid=8)
    after = replace(loaded, agent=replace(RUNS, pid=8))
    assert [each.kind for each in seen(with_memory(ModelState.READY), after)] == [
        "model.running",
        "model.ready",
    ]


def test_a_load_that_fails_is_told_once() -> None:
    failed = with_memory(ModelState.UNLOADED, error="no such file")
    assert [each.kind for each in seen(SERVES, failed)] == ["model.load_failed"]
    assert seen(failed, failed) == []
