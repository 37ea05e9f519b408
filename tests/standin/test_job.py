"""The state machine alone: no clock, no process."""

import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxhub.standin.job import (
    Action,
    End,
    Happening,
    Job,
    Moment,
    Phase,
    Reason,
    Spawned,
    keepalive_restarts,
    throttle_wait,
)
from mlxhub.standin.plist import Conditions, Definition
from mlxhub.standin.variation import draw_variation

ENDS = {
    "exit 0": End(0),
    "exit 1": End(1),
    "never started": End(78, "no such program"),
    "SIGTERM": End(-signal.SIGTERM),
    "SIGKILL": End(-signal.SIGKILL),
    "SIGSEGV": End(-signal.SIGSEGV),
    "SIGABRT": End(-signal.SIGABRT),
}
RESTARTING_ENDS = [
    (False, set()),
    (True, set(ENDS)),
    (Conditions(successful_exit=False), set(ENDS) - {"exit 0"}),
    (Conditions(successful_exit=True), {"exit 0"}),
    (Conditions(crashed=True), {"SIGSEGV", "SIGABRT"}),
    (Conditions(crashed=False), set(ENDS) - {"SIGSEGV", "SIGABRT"}),
    (Conditions(successful_exit=False, crashed=False), set(ENDS)),
    (Conditions(), set()),
]


def make_job(seed: int = 0, **values: object) -> Job:
    definition = Definition(
        label="t.x", path="/t.x.plist", program=None, arguments=("/bin/true",), environment={},
        working_directory=None, run_at_load=False, keep_alive=False, throttle_seconds=10,
        exit_timeout_seconds=20, stdout_path=None, stderr_path=None, spawn_type="daemon (3)",
        soft_limits={}, hard_limits={}, umask=0o022, addresses=(),
    )  # fmt: skip
    fields = {name: getattr(definition, name) for name in Definition.__slots__} | values
    return Job(Definition(**fields), draw_variation(seed))


def at(now: float, *, on_demand_only: bool = False) -> Moment:
    return Moment(now, on_demand_only)


@pytest.mark.parametrize(("keep_alive", "restarting"), RESTARTING_ENDS)
def test_keepalive_restarts_after_these_ends_and_no_others(keep_alive, restarting):
    assert {name for name, end in ENDS.items() if keepalive_restarts(keep_alive, end)} == restarting


@pytest.mark.parametrize(
    ("last_start", "now", "wait"),
    [
        (None, 5.0, 0),
        (100.0, 100.2, 10),
        (100.0, 101.9, 9),
        (100.0, 109.99, 1),
        (100.0, 110.0, 0),
        (100.0, 500.0, 0),
    ],
)
def test_throttle_counts_whole_seconds_from_the_last_start(last_start, now, wait):
    assert throttle_wait(10, last_start, now) == wait


@pytest.mark.parametrize("keep_alive", [True, Conditions(successful_exit=False), Conditions(crashed=True)])
def test_every_kind_of_keepalive_starts_the_job_when_it_is_loaded(keep_alive):
    assert make_job(keep_alive=keep_alive).handle(Happening.LOADED, at(0)) == [Action.SPAWN]


def test_an_idle_job_waits_for_a_demand():
    job = make_job()
    assert job.handle(Happening.LOADED, at(0)) == []
    assert job.handle(Reason.KICKSTART, at(1)) == [Action.SPAWN]
    assert job.reason is Reason.KICKSTART


def test_a_quick_death_is_followed_by_a_start_one_interval_after_the_last():
    job = make_job(keep_alive=True)
    job.handle(Happening.LOADED, at(100))
    job.handle(Spawned(7), at(100))
    assert job.handle(End(1), at(100.2)) == []
    assert job.phase is Phase.SCHEDULED
    assert job.handle(Happening.TIME_PASSED, at(110.1)) == []
    assert job.handle(Happening.TIME_PASSED, at(110.2)) == [Action.SPAWN]


def test_a_bootout_ends_in_a_kill_and_never_in_a_restart():
    job = make_job(keep_alive=True)
    job.handle(Happening.LOADED, at(0))
    job.handle(Spawned(7), at(0))
    assert job.handle(Happening.REMOVED, at(1)) == [signal.SIGTERM]
    assert job.handle(Happening.TIME_PASSED, at(20)) == []
    assert job.handle(Happening.TIME_PASSED, at(21)) == [signal.SIGKILL]
    assert job.handle(End(-signal.SIGKILL), at(21)) == [Action.VANISH]


def test_an_exit_timeout_of_zero_waits_for_ever():
    job = make_job(exit_timeout_seconds=0)
    job.handle(Reason.KICKSTART, at(0))
    job.handle(Happening.REMOVED, at(1))
    assert job.wakes_at is None


def test_a_kickstart_with_k_starts_again_whatever_keepalive_says():
    job = make_job()
    job.handle(Reason.KICKSTART, at(0))
    job.handle(Spawned(7), at(0))
    assert job.handle(Happening.RESTARTED, at(20)) == [signal.SIGTERM]
    assert job.handle(End(0), at(21)) == [Action.SPAWN]


def test_on_demand_only_holds_back_every_start_nobody_asked_for():
    job = make_job(keep_alive=True)
    assert job.handle(Happening.LOADED, at(0, on_demand_only=True)) == []
    assert job.pended is Reason.KEEPALIVE
    assert job.handle(Happening.TIME_PASSED, at(1, on_demand_only=True)) == []
    assert job.handle(Happening.TIME_PASSED, at(2)) == [Action.SPAWN]
    assert job.pended is None


def test_on_demand_only_lets_a_demand_pass():
    job = make_job(keep_alive=True)
    job.handle(Happening.LOADED, at(0, on_demand_only=True))
    assert job.handle(Reason.SOCKET, at(1, on_demand_only=True)) == [Action.SPAWN]


EVENTS = st.one_of(
    st.sampled_from([Happening.RESTARTED, Happening.TIME_PASSED, Happening.REMOVED]),
    st.sampled_from(Reason),
    st.sampled_from(list(ENDS.values())),
)


SCRIPTS = st.lists(st.tuples(EVENTS, st.floats(0, 30), st.booleans()))


def play(job, script):
    """Whether it has a process, and whether it has vanished, after a script that a kernel could write."""
    now, running, vanished = 0.0, False, False
    for event, pause, held in script:
        now += pause
        if vanished or (isinstance(event, End) and not running):
            continue
        running = running and not isinstance(event, End)
        for effect in job.handle(event, at(now, on_demand_only=held)):
            if effect is Action.SPAWN:
                assert not running
                assert not job.leaving
                running = True
                job.handle(Spawned(7), at(now))
            elif isinstance(effect, signal.Signals):
                assert running
            else:
                assert not running
                vanished = True
        assert (job.pid is not None) == running
    return running, vanished


@given(st.integers(0, 50), st.booleans(), SCRIPTS)
def test_a_job_never_has_two_processes_and_signals_none_it_has_not(seed, keep_alive, script):
    play(make_job(seed, keep_alive=keep_alive), script)


@given(st.integers(0, 50), SCRIPTS)
def test_a_removed_job_always_vanishes(seed, script):
    job = make_job(seed, keep_alive=True)
    running, vanished = play(
        job, [*script, (Happening.REMOVED, 0.0, False), (Happening.TIME_PASSED, 100.0, False)]
    )
    if running:
        assert job.phase is Phase.KILLED
        assert job.handle(End(-signal.SIGKILL), at(10_000)) == [Action.VANISH]
    else:
        assert vanished


@given(st.integers(0, 50), SCRIPTS)
def test_a_loaded_job_that_is_kept_alive_always_comes_back(seed, script):
    job = make_job(seed, keep_alive=True)
    script = [step for step in script if step[0] is not Happening.REMOVED]
    play(job, [(Happening.LOADED, 0.0, True), *script, (Happening.TIME_PASSED, 100.0, False)])
    assert job.phase in {Phase.RUNNING, Phase.KILLED} or job.last_end.spawn_error


def run_briefly(job, started, status=1):
    job.handle(Happening.LOADED if job.runs == 0 else Happening.TIME_PASSED, at(started))
    job.handle(Spawned(7), at(started))
    job.handle(End(status), at(started + 0.1))


def test_each_crash_after_the_second_doubles_the_throttle_up_to_its_limit():
    job = make_job(keep_alive=True)
    job.longest_throttle_seconds = 60
    shown = []
    for number in range(6):
        run_briefly(job, number * 1000.0)
        shown.append(job.throttle_seconds)
    assert shown == [10, 10, 20, 40, 60, 60]


@pytest.mark.parametrize(("status", "ran"), [(0, 0.1), (1, 10.0)])
def test_an_exit_0_or_a_run_of_the_base_length_ends_the_series_of_crashes(status, ran):
    job = make_job(keep_alive=True)
    run_briefly(job, 0.0)
    assert job.successive_crashes == 1
    job.handle(Happening.TIME_PASSED, at(20))
    job.handle(Spawned(7), at(20))
    job.handle(End(status), at(20 + ran))
    assert job.successive_crashes == 0


def test_the_throttle_counts_from_the_fork_and_not_from_the_decision():
    job = make_job(keep_alive=True)
    job.handle(Happening.LOADED, at(100))
    job.handle(Spawned(7), at(100.5))
    job.handle(End(1), at(100.6))
    assert job.handle(Happening.TIME_PASSED, at(110.4)) == []
    assert job.handle(Happening.TIME_PASSED, at(110.6)) == [Action.SPAWN]


def test_a_job_is_stale_from_the_drawn_run_on():
    job = make_job(keep_alive=True)
    job.stale_run = 2
    run_briefly(job, 0.0)
    assert not job.is_stale
    run_briefly(job, 20.0)
    assert job.is_stale
