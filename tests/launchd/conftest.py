"""A launchd for each contract test: the twin in memory, and the real client on a real supervisor."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlxhub.launchd.contract import Launchd
from mlxhub.launchd.launchctl import Launchctl
from tests.fakes.launchd import FakeLaunchd

STANDIN = Path(__file__).parents[2] / "mlxhub" / "standin"


@pytest.fixture(params=["twin", "launchctl"])
def launchd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Launchd]:
    if request.param == "twin":
        yield FakeLaunchd()
    elif sys.platform == "darwin":
        yield Launchctl(
            ("/bin/launchctl",), uid=os.getuid(), environment=os.environ, no_session_hint="Log in."
        )
    else:
        with standin(tmp_path) as client:
            yield client


@contextlib.contextmanager
def standin(root: Path) -> Iterator[Launchctl]:
    """Its jobs end with it."""
    (root / "agents").mkdir()
    command = [sys.executable, "-m", "mlxhub.standin.daemon", "--state", str(root / "state")]
    command += ["--clock-scale", "10"]  # a throttle of ten seconds takes one
    daemon = subprocess.Popen([*command, "--agents", str(root / "login")], stderr=subprocess.DEVNULL)
    try:
        client = Launchctl(
            (sys.executable, "-I", "-S", str(STANDIN / "launchctl.py")),
            uid=os.getuid(),
            environment=dict(os.environ) | {"MLXHUB_LAUNCHD_STATE": str(root / "state")},
            no_session_hint="Start the supervisor.",
            pause=lambda seconds: time.sleep(min(seconds, 0.1)),  # retries that must fail, sooner
        )
        deadline = time.monotonic() + 10
        while not client.has_session():
            assert time.monotonic() < deadline, "the supervisor does not answer"
        yield client
    finally:
        daemon.terminate()
        daemon.wait(30)
