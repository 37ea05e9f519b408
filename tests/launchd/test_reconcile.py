"""Carrying a plan out on disk and in launchd: cut short anywhere, refused in part, and on another's label."""

import plistlib
from pathlib import Path

import pytest

from mlxhub.core.agents import RenderedAgent
from mlxhub.core.paths import Paths
from mlxhub.core.plan import Change, Plan
from mlxhub.errors import LabelTaken, LaunchctlFailed, NoSession, PlanFailed
from mlxhub.files.manifest import installed_agents
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


def bring(desired: dict[str, RenderedAgent], paths: Paths, launchd: FakeLaunchd) -> Plan:
    return reconcile(desired, owns=lambda _label: True, paths=paths, launchd=launchd)


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
    assert set(bring(first, paths, launchd).changes.values()) == {Change.ADD}
    assert_as_desired(first, paths, launchd)
    assert bring(first, paths, launchd).steps == ()

    second = agents(paths, "b", "c", generation="g2")
    assert bring(second, paths, launchd).changes == {"a": Change.REMOVE, "b": Change.CHANGE, "c": Change.ADD}
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
    assert bring(wanted, paths, launchd).steps == ()


def test_an_agent_that_launchd_refuses_does_not_keep_the_others_from_starting(paths: Paths) -> None:
    class Refusing(FakeLaunchd):
        def bootstrap(self, plist: Path, label: str, generation: str) -> None:
            if label == "a":
                raise LaunchctlFailed("launchctl bootstrap of a", 5, "Switched off in Login Items.")
            super().bootstrap(plist, label, generation)

    launchd = Refusing()
    with pytest.raises(PlanFailed, match="a: launchctl bootstrap of a failed") as caught:
        bring(agents(paths, "a", "b"), paths, launchd)
    assert caught.value.failures.keys() == {"a"}
    assert launchd.jobs.keys() == {"b"}


def test_a_label_that_another_hub_runs_is_left_alone(paths: Paths, tmp_path: Path) -> None:
    foreign = tmp_path / "other" / "a.plist"
    launchd = FakeLaunchd()
    launchd.install("a", foreign, "theirs")
    with pytest.raises(LabelTaken, match=r"other/a\.plist"):
        bring(agents(paths, "a"), paths, launchd)
    assert launchd.calls == []
    assert not paths.agents.exists()


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
