"""What every Launchd keeps: the real client on a real supervisor, and the twin that other tests use."""

import os
import plistlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlxhub.core.lifecycle import ProcessState
from mlxhub.errors import AgentDisabled, LaunchctlFailed, LoadingRefused
from mlxhub.launchd.contract import Launchd
from tests.eventually import eventually
from tests.launchd.conftest import SwitchOff

LABEL = f"io.mlxhub.contract.{os.getpid()}"
# Ends with exit 0 on SIGTERM, as our programs do; the file tells that the handler is there.
PROGRAM = """
import pathlib, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
pathlib.Path(sys.argv[1]).touch()
while True:
    signal.pause()
"""


@pytest.fixture
def clean(launchd: Launchd) -> Iterator[None]:
    yield
    launchd.bootout(LABEL)


@pytest.fixture
def ready(tmp_path: Path) -> Path:
    return tmp_path / "ready"


def write_plist(directory: Path, ready: Path, *, eager: bool, generation: str = "g1") -> Path:
    start: dict[str, object] = {"RunAtLoad": True, "KeepAlive": {"SuccessfulExit": False}} if eager else {}
    arguments = [sys.executable, "-c", PROGRAM, str(ready), "--generation", generation]
    plist = directory / f"{LABEL}.plist"
    properties = {"Label": LABEL, "ProgramArguments": arguments, "ThrottleInterval": 10, "ExitTimeOut": 10}
    plist.write_bytes(plistlib.dumps(properties | start))
    plist.chmod(0o644)
    return plist


@pytest.mark.usefixtures("clean")
class TestContract:
    def test_an_unknown_label_is_not_installed(self, launchd: Launchd) -> None:
        launchd.require_session()
        assert launchd.inspect(LABEL).process is ProcessState.NOT_INSTALLED

    def test_an_eager_agent_runs_after_bootstrap(self, launchd: Launchd, tmp_path: Path, ready: Path) -> None:
        launchd.bootstrap(write_plist(tmp_path, ready, eager=True), LABEL, "g1")
        launchd.kickstart(LABEL)
        state = launchd.inspect(LABEL)
        assert (state.process, state.generation, state.runs) == (ProcessState.RUNNING, "g1", 1)
        assert state.pid is not None

    def test_a_lazy_agent_waits_for_its_kickstart(
        self, launchd: Launchd, tmp_path: Path, ready: Path
    ) -> None:
        launchd.bootstrap(write_plist(tmp_path, ready, eager=False), LABEL, "g1")
        assert launchd.inspect(LABEL).process is ProcessState.STOPPED
        launchd.kickstart(LABEL)
        assert launchd.inspect(LABEL).process is ProcessState.RUNNING

    def test_bootstrap_and_kickstart_twice_do_no_harm(
        self, launchd: Launchd, tmp_path: Path, ready: Path
    ) -> None:
        plist = write_plist(tmp_path, ready, eager=True)
        for _ in range(2):
            launchd.bootstrap(plist, LABEL, "g1")
            launchd.kickstart(LABEL)
        assert launchd.inspect(LABEL).runs == 1

    def test_bootout_ends_it_for_good_and_twice_is_no_error(
        self, launchd: Launchd, tmp_path: Path, ready: Path
    ) -> None:
        launchd.bootstrap(write_plist(tmp_path, ready, eager=True), LABEL, "g1")
        launchd.bootout(LABEL)
        launchd.bootout(LABEL)
        assert launchd.inspect(LABEL).process is ProcessState.NOT_INSTALLED

    def test_sigterm_stops_a_program_that_exits_0_and_it_stays_loaded(
        self, launchd: Launchd, tmp_path: Path, ready: Path
    ) -> None:
        launchd.bootstrap(write_plist(tmp_path, ready, eager=True), LABEL, "g1")
        launchd.kickstart(LABEL)
        eventually(lambda: ready.exists() or type(launchd).__name__ == "FakeLaunchd")
        launchd.kill(LABEL, "SIGTERM")
        eventually(lambda: launchd.inspect(LABEL).process is ProcessState.STOPPED)
        assert launchd.inspect(LABEL).last_exit == "exit 0"
        launchd.kickstart(LABEL)
        assert launchd.inspect(LABEL).process is ProcessState.RUNNING

    def test_kill_of_a_stopped_one_is_no_error(self, launchd: Launchd, tmp_path: Path, ready: Path) -> None:
        launchd.bootstrap(write_plist(tmp_path, ready, eager=False), LABEL, "g1")
        launchd.kill(LABEL, "SIGTERM")
        assert launchd.inspect(LABEL).process is ProcessState.STOPPED

    def test_a_new_definition_is_loaded_after_bootout(
        self, launchd: Launchd, tmp_path: Path, ready: Path
    ) -> None:
        launchd.bootstrap(write_plist(tmp_path, ready, eager=True), LABEL, "g1")
        launchd.bootout(LABEL)
        launchd.bootstrap(write_plist(tmp_path, ready, eager=True, generation="g2"), LABEL, "g2")
        assert launchd.inspect(LABEL).generation == "g2"

    def test_bootstrap_over_another_definition_is_refused_and_disturbs_nothing(
        self, launchd: Launchd, tmp_path: Path, ready: Path
    ) -> None:
        launchd.bootstrap(write_plist(tmp_path, ready, eager=True), LABEL, "g1")
        before = launchd.inspect(LABEL)
        changed = write_plist(tmp_path, ready, eager=True, generation="g2")
        with pytest.raises(LaunchctlFailed, match="bootstrap"):
            launchd.bootstrap(changed, LABEL, "g2")
        assert launchd.inspect(LABEL) == before

    def test_what_was_switched_off_is_loaded_after_enable_only(
        self, launchd: Launchd, switch_off: SwitchOff, tmp_path: Path, ready: Path
    ) -> None:
        plist = write_plist(tmp_path, ready, eager=False)
        assert LABEL not in launchd.disabled_labels()
        switch_off(LABEL)
        assert LABEL in launchd.disabled_labels()
        with pytest.raises(AgentDisabled, match="mlxhub start"):
            launchd.bootstrap(plist, LABEL, "g1")
        assert launchd.inspect(LABEL).process is ProcessState.NOT_INSTALLED
        launchd.enable(LABEL)
        assert LABEL not in launchd.disabled_labels()
        launchd.bootstrap(plist, LABEL, "g1")
        assert launchd.inspect(LABEL).loaded

    def test_a_plist_that_is_not_there_is_refused(self, launchd: Launchd, tmp_path: Path) -> None:
        with pytest.raises(LoadingRefused, match="Login Items"):
            launchd.bootstrap(tmp_path / "absent.plist", LABEL, "g1")
        assert launchd.inspect(LABEL).process is ProcessState.NOT_INSTALLED

    def test_kickstart_of_what_is_not_loaded_fails_with_the_evidence(self, launchd: Launchd) -> None:
        with pytest.raises(LaunchctlFailed, match="kickstart"):
            launchd.kickstart(LABEL)
