"""Carrying a plan out on disk and in launchd: cut short anywhere, refused in part, and on another's label."""

import plistlib
from dataclasses import replace
from pathlib import Path

import pytest

from mlxhub.core.limits import GroupLimit, HubLimits, ModelLimit
from mlxhub.core.paths import Paths
from mlxhub.core.plan import Change
from mlxhub.errors import LockTimeout, NoSession, PlanRefused
from mlxhub.files.limits import read_limits
from mlxhub.files.locks import hold_lock
from mlxhub.files.manifest import installed_agents, written_files
from mlxhub.launchd.carry_out import Applied
from mlxhub.launchd.reconcile import find_plan
from tests.fakes.launchd import FakeLaunchd
from tests.launchd.reconciling import agents, assert_as_desired, bring


def test_install_change_and_uninstall_are_one_function(paths: Paths) -> None:
    launchd = FakeLaunchd()
    first = agents(paths, "a", "b")
    assert set(bring(first, paths, launchd).plan.changes.values()) == {Change.ADD}
    assert_as_desired(first, paths, launchd)
    assert bring(first, paths, launchd).plan.stages == ()

    second = agents(paths, "b", "c", generation="g2")
    applied = bring(second, paths, launchd)
    assert applied.done == {"a": Change.REMOVE, "b": Change.CHANGE, "c": Change.ADD}
    assert (applied.failed, applied.not_begun) == ({}, ())
    assert_as_desired(second, paths, launchd)

    bring({}, paths, launchd)
    assert_as_desired({}, paths, launchd)


def test_plists_are_readable_by_launchd_and_logs_by_the_user_alone(paths: Paths) -> None:
    bring(agents(paths, "a"), paths, FakeLaunchd())
    assert paths.plist("a").stat().st_mode & 0o777 == 0o644
    assert (paths.logs / "stdio" / "a.log").stat().st_mode & 0o777 == 0o600


class CutShort(BaseException):
    """As kill -9 would: nothing of ours runs after it."""


class DyingLaunchd(FakeLaunchd):
    """Lets `calls_left` calls through that change something."""

    calls_left = 0

    def _called(self, verb: str, label: str) -> None:
        if self.calls_left == 0:
            raise CutShort
        self.calls_left -= 1
        super()._called(verb, label)


@pytest.mark.parametrize("calls", range(12))
def test_what_was_cut_short_is_finished_by_the_next_run(paths: Paths, calls: int) -> None:
    launchd = DyingLaunchd()
    launchd.calls_left = 100
    bring(agents(paths, "a", "b"), paths, launchd)
    launchd.calls_left = calls
    wanted = agents(paths, "b", "c", generation="g2")
    try:
        bring(wanted, paths, launchd)
    except CutShort:
        launchd.calls_left = 100
        bring(wanted, paths, launchd)
    assert_as_desired(wanted, paths, launchd)
    launchd.calls_left = 0
    assert bring(wanted, paths, launchd).plan.stages == ()


def test_a_label_that_another_hub_runs_is_left_alone_and_taken_by_force(paths: Paths, tmp_path: Path) -> None:
    foreign = tmp_path / "other" / "a.plist"
    foreign.parent.mkdir()
    foreign.write_bytes(b"theirs")
    launchd = FakeLaunchd()
    launchd.install("a", foreign, "theirs")
    with pytest.raises(PlanRefused, match=r"other/a\.plist.*not this hub's"):
        bring(agents(paths, "a"), paths, launchd)
    assert launchd.calls == []
    assert not paths.agents.exists()
    bring(agents(paths, "a"), paths, launchd, force=True)
    assert_as_desired(agents(paths, "a"), paths, launchd)
    assert foreign.read_bytes() == b"theirs"


def test_a_job_of_another_hub_outlives_the_removal_of_our_file_for_its_label(
    paths: Paths, tmp_path: Path
) -> None:
    launchd = FakeLaunchd()
    bring(agents(paths, "a"), paths, launchd)
    launchd.jobs.clear()
    launchd.install("a", tmp_path / "other" / "a.plist", "theirs")
    bring({}, paths, launchd, force=True)
    assert launchd.jobs.keys() == {"a"}
    assert list(paths.agents.iterdir()) == []


@pytest.mark.parametrize("whose", ["edited", "foreign"])
def test_a_plist_that_is_not_ours_is_replaced_only_by_force_and_kept(paths: Paths, whose: str) -> None:
    launchd = FakeLaunchd()
    if whose == "edited":
        bring(agents(paths, "a", "b"), paths, launchd)
    paths.agents.mkdir(exist_ok=True)
    for theirs in (b"theirs", b"theirs again"):
        paths.plist("a").write_bytes(theirs)
        launchd.calls.clear()
        wanted = agents(paths, "a", "b", generation="g2" if theirs == b"theirs" else "g3")
        with pytest.raises(PlanRefused, match=str(paths.plist("a"))):
            bring(wanted, paths, launchd)
        assert launchd.calls == []
        assert paths.plist("a").read_bytes() == theirs
        applied = bring(wanted, paths, launchd, force=True)
        assert [copy.read_bytes() for copy in applied.kept] == [theirs]
        assert_as_desired(wanted, paths, launchd)
    assert sorted(copy.name for copy in paths.replaced.iterdir()) == ["a.plist", "a.plist.1"]


def test_an_edited_plist_whose_model_is_gone_is_removed_only_by_force_and_kept(paths: Paths) -> None:
    launchd = FakeLaunchd()
    bring(agents(paths, "a"), paths, launchd)
    paths.plist("a").write_bytes(b"edited")
    with pytest.raises(PlanRefused, match="edited"):
        bring({}, paths, launchd)
    assert launchd.jobs.keys() == {"a"}
    (copy,) = bring({}, paths, launchd, force=True).kept
    assert copy.read_bytes() == b"edited"
    assert (launchd.jobs, list(paths.agents.iterdir())) == ({}, [])


def test_a_launcher_that_somebody_edited_is_replaced_only_by_force_and_kept(paths: Paths) -> None:
    launchd = FakeLaunchd()
    bring(agents(paths, "a"), paths, launchd)
    launcher = paths.launcher("worker")
    ours = launcher.read_bytes()
    launcher.write_bytes(b"edited")
    launchd.calls.clear()
    with pytest.raises(PlanRefused, match=str(launcher)):
        bring(agents(paths, "a", generation="g2"), paths, launchd)
    assert (launcher.read_bytes(), launchd.calls) == (b"edited", [])
    (copy,) = bring(agents(paths, "a", generation="g2"), paths, launchd, force=True).kept
    assert (copy.read_bytes(), launcher.read_bytes()) == (b"edited", ours)


def test_a_label_that_was_switched_off_is_switched_on_when_it_goes(paths: Paths) -> None:
    launchd = FakeLaunchd()
    bring(agents(paths, "a", "b"), paths, launchd)
    launchd.jobs.clear()
    launchd.disabled.add("a")
    launchd.calls.clear()
    bring({}, paths, launchd)
    assert launchd.disabled == set()
    assert launchd.calls == [("enable", "a")]


def test_leftovers_of_a_write_that_was_cut_short_are_removed(paths: Paths) -> None:
    paths.agents.mkdir()
    paths.state.mkdir()
    for leftover in (paths.agents / ".a.plist.xyz.tmp", paths.state / ".manifest.json.xyz.tmp"):
        leftover.write_bytes(b"half")
    theirs = paths.agents / ".b.plist.xyz.tmp"
    theirs.write_bytes(b"theirs")
    bring(agents(paths, "a"), paths, FakeLaunchd())
    bring({}, paths, FakeLaunchd())
    assert [path for path in paths.agents.iterdir() if path.is_file()] == [theirs]
    assert list(paths.state.glob("*.tmp")) == []


def test_files_are_removed_where_there_is_no_session(paths: Paths) -> None:
    bring(agents(paths, "a"), paths, FakeLaunchd())
    applied = bring({}, paths, None)
    assert applied.done == {"a": Change.REMOVE}
    assert list(paths.agents.iterdir()) == []
    assert written_files(paths) == ()


def test_without_a_session_nothing_is_touched(paths: Paths) -> None:
    with pytest.raises(NoSession):
        bring(agents(paths, "a"), paths, FakeLaunchd(session=False))
    assert not paths.state.exists()
    assert not paths.agents.exists()


def test_only_what_was_written_is_removed(paths: Paths) -> None:
    launchd = FakeLaunchd()
    paths.agents.mkdir()
    (paths.agents / "com.example.theirs.plist").write_bytes(b"theirs")
    bring(agents(paths, "a"), paths, launchd)
    bring({}, paths, launchd)
    assert [path.name for path in paths.agents.iterdir()] == ["com.example.theirs.plist"]


def test_a_lost_manifest_loses_no_agent_and_a_copy_of_each_is_kept(paths: Paths) -> None:
    launchd = FakeLaunchd()
    bring(agents(paths, "my.worker.a", "my.controller"), paths, launchd)
    (paths.agents / "com.example.theirs.plist").write_bytes(plistlib.dumps({"Label": "com.example.theirs"}))
    paths.manifest.unlink()
    applied = bring({}, paths, launchd)
    assert launchd.jobs == {}
    assert sorted(copy.name for copy in applied.kept) == ["my.controller.plist", "my.worker.a.plist"]
    assert [path.name for path in paths.agents.iterdir()] == ["com.example.theirs.plist"]


def test_after_a_lost_manifest_an_install_goes_on_as_before(paths: Paths) -> None:
    launchd = FakeLaunchd()
    first = agents(paths, "my.worker.a", "my.worker.b")
    bring(first, paths, launchd)
    paths.manifest.unlink()
    applied = bring(first, paths, launchd)
    assert (applied.plan.stages, applied.kept) == ((), ())
    assert_as_desired(first, paths, launchd)
    assert {file.path for file in written_files(paths)} >= set(map(paths.launcher, ("worker", "controller")))

    paths.manifest.unlink()
    second = agents(paths, "my.worker.a", generation="g2")
    applied = bring(second, paths, launchd)
    assert [copy.read_bytes() for copy in applied.kept] == [agent.plist for agent in first.values()]
    assert_as_desired(second, paths, launchd)


def test_what_runs_in_our_directory_is_not_ours_while_the_list_is_there(paths: Paths) -> None:
    launchd = FakeLaunchd()
    bring(agents(paths, "my.worker.a"), paths, launchd)
    theirs = agents(paths, "my.worker.theirs")["my.worker.theirs"].plist
    paths.plist("my.worker.theirs").write_bytes(theirs)
    bring(agents(paths, "my.worker.a"), paths, launchd)
    bring({}, paths, launchd, force=True)
    assert paths.plist("my.worker.theirs").read_bytes() == theirs


def test_a_launcher_that_is_not_ours_is_part_of_the_plan(paths: Paths) -> None:
    launchd = FakeLaunchd()
    bring(agents(paths, "a"), paths, launchd)
    paths.launcher("worker").write_bytes(b"edited")

    def refusals(*, force: bool) -> list[str]:
        desired = agents(paths, "a")
        plan = find_plan(desired, owns=lambda _: True, paths=paths, launchd=launchd, force=force)
        return list(plan.refusals.values())

    assert refusals(force=False) == [f"{paths.launcher('worker')} is not as mlxhub wrote it."]
    assert refusals(force=True) == []


def test_what_is_listed_and_nowhere_else_is_forgotten(paths: Paths) -> None:
    launchd = FakeLaunchd()
    bring(agents(paths, "a", "b"), paths, launchd)
    del launchd.jobs["a"]
    paths.plist("a").unlink()
    assert bring(agents(paths, "b"), paths, launchd).plan.stages == ()
    assert installed_agents(paths).keys() == {"b"}


def test_what_became_of_it_is_written_down_before_anybody_else_can_change_the_hub(paths: Paths) -> None:
    seen: list[bool] = []

    def remember(applied: Applied) -> None:
        with pytest.raises(LockTimeout), hold_lock(paths.lock, seconds=0):
            pass
        seen.append(applied.ok)

    bring(agents(paths, "a"), paths, FakeLaunchd(), remember=remember)
    assert seen == [True]


LIMITS = HubLimits(
    5_000_000_000, (GroupLimit("large", 1, None),), {"a": ModelLimit("large", None, pinned=False)}
)


def test_limits_hold_before_anything_starts_and_a_change_of_them_restarts_nothing(paths: Paths) -> None:
    launchd = FakeLaunchd()
    desired = agents(paths, "a")
    known: list[HubLimits] = []
    bring(
        desired,
        paths,
        launchd,
        await_ready=lambda _label: known.append(read_limits(paths.limits)),
        limits=LIMITS,
    )
    assert known == [LIMITS]
    assert bring(desired, paths, launchd, limits=LIMITS).plan.nothing_to_do

    more = replace(LIMITS, groups=(GroupLimit("large", 2, None),))
    changed = bring(desired, paths, launchd, limits=more)
    assert (changed.plan.new_limits, changed.plan.stages, changed.plan.nothing_to_do) == (True, (), False)
    assert read_limits(paths.limits) == more


def test_damaged_limits_are_written_anew_and_a_part_of_the_hub_touches_none(paths: Paths) -> None:
    launchd = FakeLaunchd()
    paths.limits.parent.mkdir(parents=True, exist_ok=True)
    paths.limits.write_text("{}")
    bring(agents(paths, "a"), paths, launchd)
    assert paths.limits.read_text() == "{}"
    bring(agents(paths, "a"), paths, launchd, limits=LIMITS)
    assert read_limits(paths.limits) == LIMITS


def test_a_plan_that_is_refused_leaves_the_limits_that_hold(paths: Paths) -> None:
    launchd = FakeLaunchd()
    bring(agents(paths, "a"), paths, launchd, limits=LIMITS)
    paths.plist("b").write_text("not ours")
    with pytest.raises(PlanRefused):
        bring(agents(paths, "a", "b"), paths, launchd, limits=replace(LIMITS, memory_bytes=1))
    assert read_limits(paths.limits) == LIMITS
