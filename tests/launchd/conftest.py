"""A launchd for each contract test: the twin in memory, and the real client on a real supervisor."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlxhub.launchd.contract import Launchd
from mlxhub.launchd.launchctl import Launchctl
from tests.fakes.launchd import FakeLaunchd

STANDIN = Path(__file__).parents[2] / "mlxhub" / "standin"
CLIENT = (sys.executable, "-I", "-S", str(STANDIN / "launchctl.py"))
SwitchOff = Callable[[str], None]


@pytest.fixture(params=["twin", "launchctl"])
def launchd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Launchd]:
    if request.param == "twin":
        yield FakeLaunchd()
    elif sys.platform == "darwin":
        yield Launchctl(
            ("/bin/launchctl",),
            uid=os.getuid(),
            environment=os.environ,
            no_session_hint="Log in.",
            log_hint="log show",
        )
    else:
        with standin(tmp_path) as client:
            yield client


@pytest.fixture
def switch_off(launchd: Launchd, tmp_path: Path) -> SwitchOff:
    """What a person does with `launchctl disable`; the product never does."""
    if isinstance(launchd, FakeLaunchd):
        return launchd.disabled.add
    command = ["/bin/launchctl"] if sys.platform == "darwin" else [*CLIENT]
    environment = dict(os.environ) | {"MLXHUB_LAUNCHD_STATE": str(tmp_path / "state")}

    def disable(label: str) -> None:
        subprocess.run(
            [*command, "disable", f"gui/{os.getuid()}/{label}"], env=environment, check=True, timeout=30
        )

    return disable


@contextlib.contextmanager
def standin(root: Path) -> Iterator[Launchctl]:
    """Its jobs end with it."""
    (root / "agents").mkdir()
    command = [sys.executable, "-m", "mlxhub.standin.daemon", "--state", str(root / "state")]
    command += ["--clock-scale", "10"]  # a throttle of ten seconds takes one
    daemon = subprocess.Popen([*command, "--agents", str(root / "login")], stderr=subprocess.DEVNULL)
    try:
        client = Launchctl(
            CLIENT,
            uid=os.getuid(),
            environment=dict(os.environ) | {"MLXHUB_LAUNCHD_STATE": str(root / "state")},
            no_session_hint="Start the supervisor.",
            log_hint="launchd.log",
            pause=lambda seconds: time.sleep(min(seconds, 0.1)),  # retries that must fail, sooner
        )
        deadline = time.monotonic() + 10
        while not client.has_session():
            assert time.monotonic() < deadline, "the supervisor does not answer"
        yield client
    finally:
        daemon.terminate()
        daemon.wait(30)
