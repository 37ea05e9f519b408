"""The state machine alone: no clock, no process."""

import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxhub.standin.job import (
    Action,
    Demanded,
    Ended,
    ExitCode,
    Happening,
    Job,
    Moment,
    Phase,
    Reason,
    Send,
    Signal,
    Spawned,
    SpawnFailed,
    keepalive_restarts,
    throttle_wait,
)
from mlxhub.standin.plist import Conditions, Definition
from mlxhub.standin.variation import draw_variation

ENDS = {
    "exit 0": ExitCode(0),
    "exit 1": ExitCode(1),
    "never started": SpawnFailed("no such program"),
    "SIGTERM": Signal(signal.SIGTERM),
    "SIGKILL": Signal(signal.SIGKILL),
    "SIGSEGV": Signal(signal.SIGSEGV),
    "SIGABRT": Signal(signal.SIGABRT),
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
    assert job.handle(Demanded(Reason.KICKSTART), at(1)) == [Action.SPAWN]
    assert job.reason is Reason.KICKSTART


def test_a_quick_death_is_followed_by_a_start_one_interval_after_the_last():
    job = make_job(keep_alive=True)
    job.handle(Happening.LOADED, at(100))
    job.handle(Spawned(7), at(100))
    assert job.handle(Ended(ExitCode(1)), at(100.2)) == []
    assert job.phase is Phase.SCHEDULED
    assert job.handle(Happening.TIME_PASSED, at(110.1)) == []
    assert job.handle(Happening.TIME_PASSED, at(110.2)) == [Action.SPAWN]


def test_a_bootout_ends_in_a_kill_and_never_in_a_restart():
    job = make_job(keep_alive=True)
    job.handle(Happening.LOADED, at(0))
    job.handle(Spawned(7), at(0))
    assert job.handle(Happening.REMOVED, at(1)) == [Send(signal.SIGTERM)]
    assert job.handle(Happening.TIME_PASSED, at(20)) == []
    assert job.handle(Happening.TIME_PASSED, at(21)) == [Send(signal.SIGKILL)]
    assert job.handle(Ended(Signal(signal.SIGKILL)), at(21)) == [Action.VANISH]


def test_an_exit_timeout_of_zero_waits_for_ever():
    job = make_job(exit_timeout_seconds=0)
    job.handle(Demanded(Reason.KICKSTART), at(0))
    job.handle(Happening.REMOVED, at(1))
    assert job.wakes_at is None


def test_a_kickstart_with_k_starts_again_whatever_keepalive_says():
    job = make_job()
    job.handle(Demanded(Reason.KICKSTART), at(0))
    job.handle(Spawned(7), at(0))
    assert job.handle(Happening.RESTARTED, at(20)) == [Send(signal.SIGTERM)]
    assert job.handle(Ended(ExitCode(0)), at(21)) == [Action.SPAWN]


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
    assert job.handle(Demanded(Reason.SOCKET), at(1, on_demand_only=True)) == [Action.SPAWN]


EVENTS = st.one_of(
    st.sampled_from([Happening.RESTARTED, Happening.TIME_PASSED, Happening.REMOVED]),
    st.sampled_from(Reason).map(Demanded),
    st.sampled_from(list(ENDS.values())).map(Ended),
)


SCRIPTS = st.lists(st.tuples(EVENTS, st.floats(0, 30), st.booleans()))


def play(job, script):
    """Whether it has a process, and whether it has vanished, after a script that a kernel could write."""
    now, running, vanished = 0.0, False, False
    for event, pause, held in script:
        now += pause
        if vanished or (isinstance(event, Ended) and not running):
            continue
        running = running and not isinstance(event, Ended)
        for effect in job.handle(event, at(now, on_demand_only=held)):
            if effect is Action.SPAWN:
                assert not running
                assert not job.leaving
                running = True
                job.handle(Spawned(7), at(now))
            elif isinstance(effect, Send):
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
        assert job.handle(Ended(Signal(signal.SIGKILL)), at(10_000)) == [Action.VANISH]
    else:
        assert vanished


@given(st.integers(0, 50), SCRIPTS)
def test_a_loaded_job_that_is_kept_alive_always_comes_back(seed, script):
    job = make_job(seed, keep_alive=True)
    script = [step for step in script if step[0] is not Happening.REMOVED]
    play(job, [(Happening.LOADED, 0.0, True), *script, (Happening.TIME_PASSED, 100.0, False)])
    assert job.phase in {Phase.RUNNING, Phase.KILLED} or isinstance(job.last_end, SpawnFailed)
