"""Which agents that do not run are brought back, and which are left alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxhub.core.lifecycle import ProcessState
from mlxhub.core.observed import AgentState
from mlxhub.core.repair import LONGEST_PAUSE_SECONDS, Repair, is_frozen, pause_seconds, repair_for


def agent(process: ProcessState = ProcessState.STOPPED, **more: object) -> AgentState:
    return AgentState(label="io.mlxhub.worker.a", process=process, **more)  # type: ignore[arg-type]  # a test


@pytest.mark.parametrize(
    ("found", "down_seconds", "repair"),
    [
        (agent(pended=True, last_exit="signal Killed"), 0, Repair.START),
        (agent(last_exit="signal Killed"), 14, None),
        (agent(last_exit="signal Killed"), 15, Repair.START),
        (agent(last_exit="exit 75"), 15, Repair.START),
        (agent(last_exit="exit 0"), 10_000, None),
        (agent(last_exit=None, runs=0), 44, None),
        (agent(last_exit=None, runs=0), 45, Repair.START),
        (agent(ProcessState.THROTTLED, last_exit="exit 1"), 10_000, None),
        (agent(ProcessState.NOT_INSTALLED), 10_000, None),
        (agent(ProcessState.UNKNOWN), 10_000, None),
        (agent(ProcessState.RUNNING, pid=7, exit_reason="OS_REASON_CODESIGNING"), 10_000, None),
        (agent(ProcessState.FAILED, last_exit="exit 78"), 0, Repair.REINSTALL),
        (
            agent(
                ProcessState.THROTTLED, last_exit="signal Killed", exit_reason="OS_REASON_CODESIGNING, 0x1"
            ),
            0,
            Repair.REINSTALL,
        ),
    ],
)
def test_who_is_brought_back_and_how(found: AgentState, down_seconds: float, repair: Repair | None) -> None:
    assert repair_for(found, down_seconds=down_seconds, reinstalled=False) is repair


def test_a_definition_that_stays_broken_is_loaded_anew_once() -> None:
    broken = agent(ProcessState.FAILED, last_exit="exit 78")
    assert repair_for(broken, down_seconds=10_000, reinstalled=True) is None


def test_what_a_repair_took_away_is_brought_back_and_what_somebody_else_did_is_not() -> None:
    gone = agent(ProcessState.NOT_INSTALLED)
    assert repair_for(gone, down_seconds=0, reinstalled=True, taken_away=True) is Repair.START
    assert repair_for(gone, down_seconds=10_000, reinstalled=True, taken_away=False) is None


@given(st.integers(0, 10_000), st.floats(0, 1))
def test_pauses_grow_and_have_an_end(failures: int, draw: float) -> None:
    assert 7.5 <= pause_seconds(failures, draw) <= pause_seconds(failures + 1, draw) <= LONGEST_PAUSE_SECONDS


def test_what_failed_together_is_not_tried_again_together() -> None:
    assert pause_seconds(2, 0.1) != pause_seconds(2, 0.9)


@pytest.mark.parametrize(("seconds", "loading", "frozen"), [
    (119, False, False), (120, False, True), (599, True, False), (600, True, True),
])  # fmt: skip
def test_a_process_that_runs_and_says_nothing_is_given_up_after_minutes(
    seconds: float, loading: bool, frozen: bool
) -> None:
    assert is_frozen(seconds, loading=loading) is frozen
