"""`mlxhub events`, of a hub that runs."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mlxhub
from mlxhub.core.lifecycle import ModelState, ProcessState
from mlxhub.fleet import happenings
from mlxhub.protocol.hub import EVENTS_MISSED, OperationState
from tests.stories.conftest import LiveHub


def kinds_until(lines: Iterator[str], kind: str) -> Iterator[dict[str, Any]]:
    for line in lines:
        event = json.loads(line)
        yield event
        if event["kind"] == kind:
            return


@pytest.fixture
def followed(demo_hub: LiveHub) -> Iterator[Iterator[str]]:
    """What `mlxhub events -f --json` prints, line by line."""
    with subprocess.Popen(
        [sys.executable, "-m", "mlxhub", "events", "-f", "--json"],
        env=os.environ | {"MLXHUB_HOME": str(demo_hub.home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as follower:
        assert follower.stdout is not None
        yield iter(follower.stdout)
        follower.terminate()


def test_what_happens_is_followed_across_a_restart_of_the_controller(
    demo_hub: LiveHub, followed: Iterator[str]
) -> None:
    demo_hub.ok("unload-model", "demo")
    assert next(kinds_until(followed, "controller.started"))["sequence"] == 1
    demo_hub.ok("load-model", "demo")
    loaded = [event for event in kinds_until(followed, "model.ready") if event["model"] == "demo"]
    assert loaded[-1]["memory"] == "ready"
    assert "is in memory" in demo_hub.ok("events", "demo")

    was = demo_hub.json("status")["controller"]["pid"]
    os.kill(was, signal.SIGKILL)
    after = list(kinds_until(followed, "controller.started"))
    assert EVENTS_MISSED in {event["kind"] for event in after}
    adopted = [event for event in kinds_until(followed, "model.ready") if event["model"] == "demo"]
    assert [event["kind"] for event in adopted] == ["model.running", "model.ready"]
    assert demo_hub.json("status")["controller"]["pid"] not in (None, was)


def test_the_kinds_there_are_stand_in_the_documentation() -> None:
    section = (Path(mlxhub.__file__).parents[1] / "docs" / "api.md").read_text().partition("### Events")[2]
    kinds = {f"model.{state}" for state in (*ProcessState, *ModelState)}
    kinds |= {f"operation.{state}" for state in OperationState} | {EVENTS_MISSED, happenings.LOAD_FAILED}
    kinds |= {happenings.CONTROLLER_STARTED, happenings.CONTROLLER_STOPPING, happenings.RELOADED}
    kinds |= {happenings.PULL_BEGAN, happenings.PULL_CAME, happenings.PULL_ENDED, happenings.PULL_FAILED}
    assert {kind for kind in kinds if f"`{kind}`" not in section} == set()
