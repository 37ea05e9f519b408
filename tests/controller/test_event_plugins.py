"""Other packages' event sinks, as they are installed: found by their entry points, and kept apart."""

import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from loguru import logger

from mlxhub.controller.event_plugins import WAITING_EVENTS, PluginSink, plugin_sinks
from mlxhub.protocol.hub import HubEvent
from tests.eventually import eventually

CODE = """
import json, threading
def write(event):
    with open({file!r}, "a") as told:
        told.write(json.dumps(event) + "\\n")
def fail(event):
    raise RuntimeError("no network")
not_a_sink = 5
"""


def event(number: int) -> HubEvent:
    return HubEvent(
        id=f"life-{number}", sequence=number, at=1.5, kind="model.ready", message="it is in memory", model="m"
    )


@pytest.fixture
def said() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lines.append, format="{message} {exception}")
    yield lines
    logger.remove(sink)


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the sink of an installed package writes to."""
    file = tmp_path / "told"
    (tmp_path / "their_sinks.py").write_text(CODE.format(file=str(file)))
    info = tmp_path / "their_sinks-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-sinks\nVersion: 1.0\n")
    points = ("gone = their_missing:write", "broken = their_sinks:fail", "odd = their_sinks:not_a_sink")
    lines = ["[mlxhub.event_sinks]", *points, "file = their_sinks:write"]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    return file


def test_each_gets_every_event_whatever_the_others_do(told: Path, said: list[str]) -> None:
    sinks = list(plugin_sinks())
    assert {sink.name for sink in sinks} == {"gone", "broken", "odd", "file"}
    for number in (1, 2):
        for sink in sinks:
            sink(event(number))
    eventually(lambda: told.exists() and len(told.read_text().splitlines()) == 2)
    first = json.loads(told.read_text().splitlines()[0])
    assert (first["id"], first["kind"], first["model"], first["pid"]) == ("life-1", "model.ready", "m", None)
    eventually(lambda: sum("Event sink broken failed at event life-" in line for line in said) == 2)
    for name in ("gone", "odd"):
        eventually(lambda name=name: any(f"Event sink {name} cannot be loaded" in line for line in said))


def test_one_that_hangs_holds_up_nobody_and_is_told_of_once(said: list[str]) -> None:
    hangs, let_go = threading.Event(), threading.Event()

    def slow(_event: Mapping[str, Any]) -> None:
        hangs.set()
        let_go.wait(30)

    sink = PluginSink("slow", lambda: slow)
    sink(event(0))
    assert hangs.wait(30)
    for number in range(1, WAITING_EVENTS + 10):
        sink(event(number))
    let_go.set()
    assert sum("Event sink slow has not taken" in line for line in said) == 1
