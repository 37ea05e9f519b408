"""What is tested where, and the directories of a hub that is not there yet."""

import gc
import os
import secrets
import sys
from pathlib import Path

import pytest

from mlxhub.core.paths import Paths

# The stand-in is made of Linux's own parts (prctl, /proc); a Mac has the real thing, which nobody can kill.
collect_ignore = ["standin", "chaos"] if sys.platform == "darwin" else []

# What is uncertain about launchd differs from run to run; `MLXHUB_TEST_SEED=n scripts/test` repeats one.
# It is in the environment so that all processes of a run agree.
SEED = os.environ.setdefault("MLXHUB_TEST_SEED", str(secrets.randbelow(1000)))

# No test asks the real hub of models, whatever it is made to pull.
os.environ["HF_ENDPOINT"] = "http://127.0.0.1:1"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--browser", action="store_true", help="run tests/browser too; it needs Chromium")
    parser.addoption("--story-seeds", type=int, default=0, help="draws of each way launchd goes wrong")
    parser.addoption("--all-mutations", action="store_true", help="remove each defence there is, in turn")
    parser.addoption("--chaos-rounds", type=int, default=5, help="of killing, in tests/chaos")
    parser.addoption("--interleavings", type=int, default=100, help="of requests that share a model")
    # Those of tests/conformance: pytest must know them before it looks there.
    group = parser.getgroup("conformance", "the scenarios of tests/conformance")
    group.addoption("--seeds", type=int, default=4, help="how many seeds of the stand-in they run against")
    group.addoption("--first-seed", type=int, default=int(SEED), help="the first of them")
    group.addoption("--scenario", type=int, action="append", metavar="N", help="only this one; repeatable")
    group.addoption("--real-launchctl", action="store_true", help="run them against this Mac's own launchd")
    group.addoption("--launchctl", default="/bin/launchctl", help="the program that --real-launchctl runs")
    group.addoption("--record", type=Path, metavar="FILE", help="write the answers that were seen, as JSON")


def pytest_configure(config: pytest.Config) -> None:
    if not config.getoption("--browser"):
        collect_ignore.append("browser")


def pytest_collection_finish() -> None:
    """What is imported and collected stays: looking through it took most of each collection of garbage."""
    gc.collect()
    gc.freeze()


def pytest_report_header() -> str:
    return f"launchd seed: {SEED}"


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(
        config=tmp_path / "hub.yaml",
        state=tmp_path / "state",
        logs=tmp_path / "logs",
        agents=tmp_path / "LaunchAgents",
        programs=tmp_path / "bin",
        supervisor=tmp_path / "launchd",
    )
