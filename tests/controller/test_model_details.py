"""A model's log and its last hour, for whoever looks closer."""

import asyncio
import json
from pathlib import Path

import pytest

from mlxhub.controller.history import KEPT_POINTS, POINT_SECONDS, History
from mlxhub.fleet.facts import ModelFacts
from mlxhub.protocol.worker import CounterStatus
from tests.controller.hub import ALPHA, RunningHub, running_hub
from tests.fakes.worker import FakeWorker

pytestmark = pytest.mark.anyio


def log_of(hub: RunningHub, name: str) -> Path:
    log = hub.hub.models[name].log
    log.parent.mkdir(parents=True, exist_ok=True)
    return log


async def lines(hub: RunningHub, query: str = "") -> list[str]:
    said = await hub.client.get(f"/hub/models/alpha/logs{query}")
    events = [event.removeprefix("data: ") for event in said.text.split("\n\n") if event]
    return [line for event in events for line in json.loads(event)["lines"]]


async def test_the_last_lines_of_a_log(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA) as hub:
        assert await lines(hub) == []
        log_of(hub, "alpha").write_text("".join(f"line {number}\n" for number in range(300)) + "no end")
        assert len(await lines(hub)) == 200
        assert await lines(hub, "?lines=2") == ["line 299", "no end"]
        assert (await hub.client.get("/hub/models/alpha/logs?lines=5000")).status_code == 400
        assert (await hub.client.get("/hub/models/nobody/logs")).status_code == 404


async def test_a_log_is_followed_by_whole_lines(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA) as hub:
        log = log_of(hub, "alpha")
        log.write_text("one\n")
        async with hub.client.stream("GET", "/hub/models/alpha/logs?follow=1") as stream:
            events = stream.aiter_lines()

            async def next_lines() -> list[str]:
                async for line in events:
                    if line.startswith("data: "):
                        said: list[str] = json.loads(line.removeprefix("data: "))["lines"]
                        return said
                raise AssertionError

            assert await next_lines() == ["one"]
            with log.open("a") as file:
                file.write("tw")
                file.flush()
                file.write("o\n<b>three</b>\n")
            assert await next_lines() == ["two", "<b>three</b>"]
            with log.open("a") as file:
                file.write("-" * 1_500_000)
            assert len((await next_lines())[0]) > 1_000_000, "a line without end is told before its end"
            hub.controller.begin_drain()
            async with asyncio.timeout(5):
                assert [line async for line in events if line.startswith("data: ")] == []


def facts(worker: FakeWorker, tokens: int, *, silent: bool = False) -> ModelFacts:
    said = worker.status().model_copy(update={"counters": CounterStatus(completion_tokens=tokens)})
    return ModelFacts(silent_since=1.0 if silent else None, worker=said)


def test_tokens_are_counted_between_looks_at_one_process() -> None:
    now = 1500.0
    history = History(lambda: now)
    worker = FakeWorker("alpha", 1)
    before = facts(worker, 0)
    history.on_look("alpha", None, before, 0)
    for tokens in (100, 250):
        now += 1
        after = facts(worker, tokens)
        history.on_look("alpha", before, after, 0)
        before = after
    worker.pid += 1
    history.on_look("alpha", before, facts(worker, 1_000_000), 0)
    (point,) = history.of("alpha").points
    assert point.at == 1500
    assert point.tokens_per_second == round(250 / POINT_SECONDS, 2)
    assert point.memory_bytes == 50_000_000


def test_an_hour_is_kept_and_silence_leaves_a_gap() -> None:
    now = 0.0
    history = History(lambda: now)
    worker = FakeWorker("alpha", 1)
    for number in range(KEPT_POINTS + 50):
        now = number * POINT_SECONDS
        history.on_look("alpha", None, facts(worker, 0, silent=number == KEPT_POINTS), 0)
    points = history.of("alpha").points
    assert len(points) == KEPT_POINTS - 1
    assert KEPT_POINTS * POINT_SECONDS not in [point.at for point in points]
    assert history.of("nobody").points == []
    now += 3600
    assert history.of("alpha").points == []
