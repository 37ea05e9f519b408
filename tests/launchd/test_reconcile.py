"""Carrying a plan out on disk and in launchd: cut short anywhere, refused in part, and on another's label."""

import plistlib
import threading
from pathlib import Path

import pytest

from mlxhub.core.agents import RenderedAgent
from mlxhub.core.paths import Paths
from mlxhub.core.plan import Change
from mlxhub.errors import LaunchctlFailed, NoSession, PlanRefused, WorkerSilent
from mlxhub.files.generations import remember
from mlxhub.files.manifest import installed_agents, written_files
from mlxhub.launchd.carry_out import Applied, AwaitReady
from mlxhub.launchd.reconcile import reconcile
from tests.fakes.launchd import FakeLaunchd


def agents(paths: Paths, *labels: str, generation: str = "g1") -> dict[str, RenderedAgent]:
    made = {}
    for label in labels:
        properties = {
            "Label": label,
            "ProgramArguments": ["/bin/true", "--generation", generation],
            "KeepAlive": {"SuccessfulExit": False},
            "WorkingDirectory": str(paths.working_directory),
            "StandardOutPath": str(paths.logs / "stdio" / f"{label}.log"),
        }
        made[label] = RenderedAgent(label, plistlib.dumps(properties), generation, eager=True)
    return made


def ready(_label: str) -> None:
    """Nothing to wait for: these agents have no programs."""


def bring(
    desired: dict[str, RenderedAgent],
    paths: Paths,
    launchd: FakeLaunchd | None,
    *,
    await_ready: AwaitReady = ready,
    force: bool = False,
) -> Applied:
    return reconcile(
        desired, owns=lambda _label: True, paths=paths, launchd=launchd, await_ready=await_ready, force=force
    )


def assert_as_desired(desired: dict[str, RenderedAgent], paths: Paths, launchd: FakeLaunchd) -> None:
    assert {path.stem: path.read_bytes() for path in paths.agents.iterdir()} == {
        label: agent.plist for label, agent in desired.items()
    }
    assert {label: job.generation for label, job in launchd.jobs.items()} == {
        label: agent.generation for label, agent in desired.items()
    }
    assert installed_agents(paths).keys() == desired.keys()


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


def test_a_lost_manifest_loses_no_agent(paths: Paths) -> None:
    launchd = FakeLaunchd()
    bring(agents(paths, "a", "b"), paths, launchd)
    (paths.agents / "com.example.theirs.plist").write_bytes(plistlib.dumps({"Label": "com.example.theirs"}))
    paths.manifest.unlink()
    bring({}, paths, launchd)
    assert launchd.jobs == {}
    assert [path.name for path in paths.agents.iterdir()] == ["com.example.theirs.plist"]
