"""What is tested where, and the directories of a hub that is not there yet."""

import sys
from pathlib import Path

import pytest

from mlxhub.core.paths import Paths

# The stand-in is made of Linux's own parts (prctl, /proc); a Mac has the real thing.
collect_ignore = ["standin"] if sys.platform == "darwin" else []


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
