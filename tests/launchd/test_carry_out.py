"""Stages taken one after the other: what fails, what is not begun for it, and what goes on."""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from mlxhub.core.paths import Paths
from mlxhub.core.plan import Change
from mlxhub.errors import (
    LaunchctlFailed,
    LaunchctlTimeout,
    LockTimeout,
    PlanFailed,
    StateUnwritable,
    WorkerSilent,
)
from mlxhub.files.generations import remember
from tests.fakes.launchd import FakeLaunchd
from tests.launchd.reconciling import agents, assert_as_desired, bring, serving


def refusing(refused: str) -> FakeLaunchd:
    class Refusing(FakeLaunchd):
        def bootstrap(self, plist: Path, label: str, generation: str) -> None:
            if label == refused:
                raise LaunchctlFailed(f"launchctl bootstrap of {label}", 5, "Switched off in Login Items.")
            super().bootstrap(plist, label, generation)

    return Refusing()


def test_an_addition_that_fails_does_not_keep_the_others_from_starting(paths: Paths) -> None:
    launchd = refusing("a")
    applied = bring(agents(paths, "a", "b"), paths, launchd)
    assert {label: str(error) for label, error in applied.failed.items()} == {
        "a": "launchctl bootstrap of a failed (launchctl said 5). Switched off in Login Items."
    }
    assert (applied.done, applied.not_begun) == ({"b": Change.ADD}, ())
    assert launchd.jobs.keys() == {"b"}


def test_additions_start_together(paths: Paths) -> None:
    """Each is ready only when three others wait beside it."""
    together = threading.Barrier(4)

    def await_ready(_label: str) -> None:
        together.wait(timeout=10)

    applied = bring(agents(paths, *"abcdefgh"), paths, FakeLaunchd(), await_ready=await_ready)
    assert set(applied.done) == set("abcdefgh")


def test_running_agents_change_one_at_a_time_each_ready_before_the_next(paths: Paths) -> None:
    launchd = FakeLaunchd()
    bring(agents(paths, "a", "b"), paths, launchd)
    launchd.calls.clear()
    events: list[tuple[str, str]] = []

    def await_ready(label: str) -> None:
        launchd.calls.append(("ready", label))

    bring(agents(paths, "a", "b", generation="g2"), paths, launchd, await_ready=await_ready)
    events = [call for call in launchd.calls if call[0] in ("bootout", "bootstrap", "ready")]
    assert events == [
        ("bootout", "a"),
        ("bootstrap", "a"),
        ("ready", "a"),
        ("bootout", "b"),
        ("bootstrap", "b"),
        ("ready", "b"),
    ]


def test_a_change_that_does_not_become_ready_ends_the_rollout_and_the_next_run_goes_on(paths: Paths) -> None:
    launchd = FakeLaunchd()
    first = agents(paths, "a", "b")
    bring(first, paths, launchd)
    remember(paths, "one", {label: agent.generation for label, agent in first.items()}, good=True, time=0.0)
    before = launchd.jobs["b"].pid
    broken = True

    def await_ready(label: str) -> None:
        if broken and label == "a":
            raise WorkerSilent("a", "it says nothing.")

    second = agents(paths, "a", "b", "c", generation="g2")
    for _ in range(2):  # what failed is waited for again before anything else is interrupted
        applied = bring(second, paths, launchd, await_ready=await_ready)
        assert applied.failed.keys() == {"a"}
        assert applied.not_begun == ("b", "c")
        assert launchd.jobs["b"].pid == before
    broken = False
    applied = bring(second, paths, launchd, await_ready=await_ready)
    assert applied.done == {"b": Change.CHANGE, "c": Change.ADD}
    assert_as_desired(second, paths, launchd)


def test_a_full_disk_interrupts_nobody(paths: Paths) -> None:
    launchd = FakeLaunchd()
    bring(agents(paths, "a"), paths, launchd)
    before = launchd.jobs["a"].pid
    wanted = agents(paths, "a", generation="g2")
    paths.last_words("a").unlink()
    paths.last_words("a").parent.rmdir()
    paths.last_words("a").parent.write_bytes(b"in the way")
    applied = bring(wanted, paths, launchd)
    assert applied.failed.keys() == {"a"}
    assert launchd.jobs["a"].pid == before


def test_a_log_that_cannot_be_made_is_the_failure_of_its_agent_alone(paths: Paths) -> None:
    """Its directory is there; a link to nowhere that leads out of it is what is in the way."""
    launchd = FakeLaunchd()
    log = paths.logs / "stdio" / "a.log"
    log.parent.mkdir(parents=True)
    log.symlink_to(paths.logs / "nowhere" / "a.log")
    applied = bring(agents(paths, "a", "b"), paths, launchd)
    assert {label: type(error) for label, error in applied.failed.items()} == {"a": StateUnwritable}
    assert applied.done == {"b": Change.ADD}


def test_an_error_of_the_system_while_one_is_waited_for_is_its_failure_alone(paths: Paths) -> None:
    def await_ready(label: str) -> None:
        if label == "a":
            raise OSError(24, "Too many open files")

    applied = bring(agents(paths, "a", "b"), paths, FakeLaunchd(), await_ready=await_ready)
    assert "Too many open files" in str(applied.failed["a"])
    assert applied.done == {"b": Change.ADD}


def test_agents_that_swap_ports_are_left_alone_where_one_cannot_be_written(paths: Paths) -> None:
    launchd = FakeLaunchd()
    bring(serving(paths, {"a": 1, "b": 2}, "g1"), paths, launchd)
    before = {label: job.pid for label, job in launchd.jobs.items()}
    log = paths.logs / "stdio" / "a.log"
    log.unlink()
    log.symlink_to(paths.logs / "nowhere" / "a.log")
    applied = bring(serving(paths, {"a": 2, "b": 1}, "g2"), paths, launchd)
    assert (applied.failed.keys(), applied.not_begun) == ({"a"}, ("b",))
    assert {label: job.pid for label, job in launchd.jobs.items()} == before


def test_a_removal_that_fails_lets_nothing_begin_that_may_need_its_place(paths: Paths) -> None:
    class Clinging(FakeLaunchd):
        def bootout(self, label: str) -> None:
            if label == "gone":
                raise LaunchctlFailed(f"bootout of {label}", 5, "It is still there.")
            super().bootout(label)

    launchd = Clinging()
    bring(agents(paths, "gone", "too"), paths, launchd)
    applied = bring(agents(paths, "new"), paths, launchd)
    assert (applied.failed.keys(), applied.not_begun) == ({"gone"}, ("new",))
    assert applied.done == {"too": Change.REMOVE}


def test_a_list_of_disabled_labels_that_cannot_be_had_keeps_nothing_from_going(paths: Paths) -> None:
    class Mute(FakeLaunchd):
        def disabled_labels(self) -> frozenset[str]:
            raise LaunchctlTimeout("launchctl print-disabled", 30)

    launchd = Mute()
    bring(agents(paths, "a", "b"), paths, launchd)
    launchd.disabled.add("a")
    applied = bring({}, paths, launchd)
    assert (applied.failed, launchd.disabled, list(paths.agents.iterdir())) == ({}, set(), [])


def test_each_stage_is_held_from_before_its_first_step_until_it_is_ready(paths: Paths) -> None:
    launchd = FakeLaunchd()
    bring(agents(paths, "a", "b"), paths, launchd)
    events: list[str] = []

    @contextmanager
    def during(labels: tuple[str, ...]) -> Iterator[None]:
        events.append(f"enter {labels} {[launchd.jobs[label].generation for label in labels]}")
        try:
            yield
        except PlanFailed as error:
            events.append(f"failed {list(error.failures)}")
            raise
        events.append(f"leave {labels}")

    def await_ready(label: str) -> None:
        events.append(f"ready {label}")
        if label == "b":
            raise WorkerSilent("b", "it says nothing.")

    wanted = agents(paths, "a", "b", "c", generation="g2")
    applied = bring(wanted, paths, launchd, await_ready=await_ready, during=during)
    assert events == [
        "enter ('a',) ['g1']",
        "ready a",
        "leave ('a',)",
        "enter ('b',) ['g1']",
        "ready b",
        "failed ['b']",
    ]
    assert (applied.done, applied.not_begun) == ({"a": Change.CHANGE}, ("c",))


def test_a_stage_that_cannot_be_held_is_not_begun(paths: Paths) -> None:
    launchd = FakeLaunchd()

    def during(labels: tuple[str, ...]) -> AbstractContextManager[None]:
        raise LockTimeout(str(labels), 5.0)

    applied = bring(agents(paths, "a", "b"), paths, launchd, during=during)
    assert applied.failed.keys() == {"a", "b"}
    assert launchd.calls == []
