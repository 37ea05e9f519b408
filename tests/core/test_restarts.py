"""Which deaths keep a process down, and which are forgiven."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxhub.core.restarts import (
    KEEP_RUNS,
    Park,
    Proceed,
    Run,
    begun,
    crash_loop_reason,
    decide,
    ended,
    forgiven,
    misunderstood_reason,
    noticed,
    predecessor_reason,
)

NOW = 1_700_000_000.0
ENDINGS = st.sampled_from(["exit 70", "exit 1", "signal Killed", "signal Segmentation fault", None])


def death(ended_at: float, lived: float = 3.0, ending: str | None = "signal Killed") -> Run:
    return Run(pid=5, started_at=ended_at - lived, ended_at=ended_at, ending=ending)


def parks(history: Sequence[Run], now: float = NOW) -> bool:
    return isinstance(decide(history, now), Park)


fresh_deaths = st.builds(
    lambda ago, lived, ending: death(NOW - ago, lived, ending),
    st.floats(0, 600),
    st.floats(0, 119),
    ENDINGS,
)
harmless = st.one_of(
    st.builds(lambda ago: death(NOW - ago, 3.0, "exit 0"), st.floats(0, 600)),
    st.builds(lambda ago: death(NOW - ago, 3.0, "exit 75"), st.floats(0, 600)),
    st.builds(lambda ago: death(NOW - ago, 3.0, "signal Terminated"), st.floats(0, 600)),
    st.builds(lambda ago, lived: death(NOW - ago, lived), st.floats(0, 600), st.floats(121, 1e6)),
    st.builds(lambda ago, lived: death(NOW - ago, lived), st.floats(601, 1e7), st.floats(0, 119)),
    st.builds(lambda ahead: death(NOW + ahead, 3.0), st.floats(1, 1e7)),
    st.builds(lambda ago: Run(pid=6, started_at=NOW - ago), st.floats(0, 1e7)),
)


@given(st.lists(fresh_deaths, max_size=4), st.lists(harmless, max_size=14))
def test_fewer_than_five_quick_deaths_never_park(deaths: list[Run], others: list[Run]) -> None:
    history = [*deaths, *others]
    assert decide(history, NOW) == Proceed()


@given(st.lists(fresh_deaths, min_size=5, max_size=12), st.lists(harmless, max_size=8))
def test_five_quick_deaths_within_ten_minutes_always_park(deaths: list[Run], others: list[Run]) -> None:
    assert parks([*others, *deaths])
    assert parks([*deaths, *others])


@given(st.lists(fresh_deaths, min_size=5, max_size=20))
def test_deaths_fall_out_after_ten_minutes(deaths: list[Run]) -> None:
    assert not parks(deaths, NOW + 600.001)


@given(st.lists(fresh_deaths, min_size=5, max_size=20), st.floats(601, 1e8))
def test_a_clock_that_is_set_back_keeps_nobody_down_and_counts_on(deaths: list[Run], back: float) -> None:
    before = NOW - back
    assert not parks(deaths, before)
    again = [death(before + after) for after in (10, 20, 30, 40, 50)]
    assert parks([*deaths, *again], before + 60)


def test_a_run_during_which_the_clock_was_set_back_is_no_short_one() -> None:
    odd = Run(pid=5, started_at=NOW + 3600, ended_at=NOW - 1, ending="signal Killed")
    assert not parks([odd] * 5)


@pytest.mark.parametrize("ending", ["exit 0", "exit 75", "signal Terminated"])
def test_a_stop_and_a_start_that_has_to_wait_are_no_deaths(ending: str) -> None:
    assert not parks([death(NOW - 1, ending=ending)] * 20)


def test_a_run_without_an_end_is_noticed_once_and_keeps_its_end() -> None:
    history = begun((), 5, NOW)
    seen = noticed(history, NOW + 11, "signal Killed")
    assert seen == (Run(pid=5, started_at=NOW, ended_at=NOW + 11, ending="signal Killed"),)
    assert noticed(seen, NOW + 99, "exit 1") == seen
    assert noticed((), NOW, None) == ()


@pytest.mark.parametrize("ending", ["exit 0", "exit 75"])
def test_a_run_without_an_end_is_not_credited_with_a_deliberate_one(ending: str) -> None:
    """It would have written that down: a launcher that found Python gone ended so, or a start cut short."""
    (run,) = noticed(begun((), 5, NOW), NOW + 11, ending)
    assert (run.ending, run.died) == (None, True)


def test_the_end_of_a_run_is_written_beside_its_begin_also_where_that_was_forgotten() -> None:
    run = begun((), 5, NOW)[-1]
    end = Run(pid=5, started_at=NOW, ended_at=NOW + 2, ending="exit 70", reason="wedged", exact=True)
    assert ended((death(NOW - 9), run), run, NOW + 2, 70, "wedged") == (death(NOW - 9), end)
    assert ended((), run, NOW + 2, 70, "wedged") == (end,)


@given(st.lists(fresh_deaths, max_size=20), st.integers(0, 4))
def test_deaths_before_a_new_beginning_count_no_more(before: list[Run], after: int) -> None:
    assert not parks([*forgiven(before), *[death(NOW - 1)] * after])
    assert parks([*forgiven(before), *[death(NOW - 1)] * 5])


def test_a_run_that_is_forgiven_before_its_end_stays_so() -> None:
    run = begun((), 5, NOW)[-1]
    history = forgiven((run,))
    assert noticed(history, NOW + 1, "signal Killed")[-1].forgiven
    assert ended(history, run, NOW + 1, 70, None)[-1].forgiven


def test_the_history_does_not_grow() -> None:
    history: tuple[Run, ...] = ()
    for number in range(100):
        history = begun(history, number, NOW + number)
    assert len(history) == KEEP_RUNS
    assert history[-1].pid == 99


def test_a_port_that_is_held_for_hours_does_not_displace_deaths() -> None:
    history: tuple[Run, ...] = (death(NOW - 1),)
    for number in range(100):
        history = begun(history, number, NOW + number)
        history = ended(history, history[-1], NOW + number, 75, "Port 1 is held")
    assert [(run.pid, run.ending) for run in history] == [(5, "signal Killed"), (99, "exit 75")]
    history = begun(history, 100, NOW + 200)
    assert [run.pid for run in history] == [5, 99, 100]


def test_the_reasons_say_what_happened_and_what_to_do() -> None:
    deaths = tuple(death(NOW - 50 + number * 10) for number in range(5))
    assert crash_loop_reason("x", Park(deaths)) == (
        'Model "x" died 5 times in 10 minutes (last: signal Killed, at most 3 s after its start) and stays '
        "down. See mlxhub logs x, then: mlxhub start-model x"
    )
    own = tuple(replace(run, ending="exit 70", exact=True) for run in deaths)
    assert crash_loop_reason("controller", Park(own)) == (
        "The controller died 5 times in 10 minutes (last: exit 70, 3 s after its start) and stays down. "
        "See mlxhub logs, then: mlxhub start"
    )
    assert misunderstood_reason("x", "No such option: --y.") == (
        'Model "x" does not start: this version of mlxhub does not understand its plist '
        "(No such option: --y). Write it anew with: mlxhub install"
    )
    assert predecessor_reason("x", 77, 30_100_000_000, 10) == (
        'Model "x" does not start: its last process (pid 77) is still there after 10 s and holds 30.1 GB. '
        "End it with: kill -9 77; if it stays even so, restart this machine. Then: mlxhub start-model x"
    )
