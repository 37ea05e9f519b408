"""What happens is told in order, and nobody who comes back misses anything without knowing."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from mlxhub.controller.events import EventLog
from mlxhub.fleet.happenings import Happening
from mlxhub.protocol.hub import HubEvent
from tests.controller.hub import WAIT_SECONDS, RunningHub

pytestmark = pytest.mark.anyio


async def known(log: EventLog, after: str | None = None) -> list[HubEvent]:
    return [event async for event in log.events(after, follow=False)]


def emit(log: EventLog, *messages: str) -> None:
    for message in messages:
        log.emit(Happening("model.ready", message, "m"))


async def test_events_are_numbered_and_every_sink_gets_each() -> None:
    first: list[HubEvent] = []
    second: list[HubEvent] = []
    log = EventLog([first.append, second.append], wall_clock=lambda: 12.5)
    emit(log, "one", "two")
    events = await known(log)
    assert [(event.sequence, event.at, event.message) for event in events] == [
        (1, 12.5, "one"),
        (2, 12.5, "two"),
    ]
    assert first == second == events


async def test_who_comes_back_gets_what_came_after() -> None:
    log = EventLog()
    emit(log, "one", "two", "three")
    _, second, third = await known(log)
    assert await known(log, second.id) == [third]
    assert await known(log, third.id) == []


@pytest.mark.parametrize("after", ["1", "0badc0de-1", "{life}-99", "{life}-x", "-", ""])
async def test_who_comes_back_with_what_is_not_known_is_told_so(after: str) -> None:
    log = EventLog()
    emit(log, "one")
    life = (await known(log))[0].id.partition("-")[0]
    missed, one = await known(log, after.replace("{life}", life))
    assert (missed.kind, missed.sequence, one.message) == ("events.missed", 0, "one")


async def test_only_the_last_are_kept_and_who_needs_more_is_told_so() -> None:
    log = EventLog(kept_events=2)
    emit(log, "one", "two", "three", "four")
    assert [event.message for event in await known(log)] == ["three", "four"]
    third = (await known(log))[0]
    first = third.id.replace("-3", "-1")
    assert [event.kind for event in await known(log, first)] == [
        "events.missed",
        "model.ready",
        "model.ready",
    ]
    assert [event.message for event in await known(log, third.id)] == ["four"]


async def test_who_follows_gets_each_as_it_comes_and_an_end_when_the_hub_ends() -> None:
    log = EventLog()
    emit(log, "one")
    got: list[str] = []

    async def follow() -> None:
        got.extend([event.message async for event in log.events(None, follow=True)])

    async with asyncio.timeout(WAIT_SECONDS), asyncio.TaskGroup() as tasks:
        tasks.create_task(follow())
        tasks.create_task(follow())
        await asyncio.sleep(0)
        emit(log, "two")
        await asyncio.sleep(0)
        emit(log, "three")
        log.close()
    assert sorted(got) == sorted(["one", "two", "three"] * 2)


async def followed(hub: RunningHub, after: str | None = None) -> AsyncIterator[HubEvent]:
    headers = {} if after is None else {"last-event-id": after}
    async with hub.client.stream("GET", "/hub/events?follow=1", headers=headers) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines: dict[str, str] = {}
        async for line in response.aiter_lines():
            name, _, value = line.partition(": ")
            lines[name] = value
            if not line and "data" in lines:
                event = HubEvent.model_validate_json(lines["data"])
                assert (lines["id"], lines["event"]) == (event.id, event.kind)
                yield event
                lines = {}


async def ended(hub: RunningHub, operation: str) -> Any:
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            view = (await hub.client.get(f"/hub/operations/{operation}")).json()
            if view["state"] != "running":
                return view
            await asyncio.sleep(0.02)


async def test_a_worker_that_dies_and_comes_back_is_seen_by_who_follows(hub: RunningHub) -> None:
    hub.launchd.throttle = True

    async def next_of_alpha(kind: str, after: str | None) -> HubEvent:
        async for event in followed(hub, after):
            if (event.model, event.kind) == ("alpha", kind):
                return event
        raise AssertionError("the stream ended")

    async with asyncio.timeout(WAIT_SECONDS * 3):
        adopted = await next_of_alpha("model.running", None)
        await hub.kill_worker("alpha")
        died = await next_of_alpha("model.throttled", adopted.id)
        assert (died.pid, died.last_exit) == (None, "signal Killed")
        hub.launchd.throttle = False
        assert (await hub.post("/hub/models/alpha/start")).status_code == 200
        back = await next_of_alpha("model.running", died.id)
        done = await next_of_alpha("operation.done", died.id)
    assert back.pid not in (None, adopted.pid)
    assert done.message == f'start of model "alpha": Model "alpha" runs (pid {back.pid}).'


async def test_an_operation_is_answered_at_once_and_found_again_until_it_is_done(hub: RunningHub) -> None:
    hub.workers["alpha"].may_load.clear()
    begun = await hub.client.post("/hub/models/alpha/load", json={})
    assert begun.status_code == 202
    view = begun.json()
    assert (view["action"], view["model"], view["state"]) == ("load", "alpha", "running")
    assert (await hub.client.get(f"/hub/operations/{view['id']}")).json() == view
    hub.workers["alpha"].may_load.set()
    view = await ended(hub, view["id"])
    assert (view["state"], view["ended_at"] >= view["started_at"]) == ("done", True)
    assert view["results"] == [{"name": "alpha", "ok": True, "message": 'Model "alpha" is in memory.'}]
    listed = (await hub.client.get("/hub/operations")).json()["operations"]
    assert [each["id"] for each in listed] == [view["id"]]


async def test_the_same_that_is_asked_for_while_it_is_under_way_is_one_operation(hub: RunningHub) -> None:
    async def begin(path: str) -> str:
        return str((await hub.client.post(path, json={})).json()["id"])

    hub.workers["alpha"].may_load.clear()
    first = await begin("/hub/models/alpha/load")
    waiting = asyncio.create_task(hub.post("/hub/models/alpha/load"))
    assert await begin("/hub/models/alpha/load") == first
    others = [await begin("/hub/models/beta/load"), await begin("/hub/models/alpha/start")]
    assert first not in others
    assert not waiting.done()

    hub.workers["alpha"].may_load.set()
    assert (await ended(hub, first))["state"] == "done"
    assert (await waiting).json() == {"name": "alpha", "ok": True, "message": 'Model "alpha" is in memory.'}
    assert hub.workers["alpha"].loads == 1
    again = await begin("/hub/models/alpha/load")
    listed = (await hub.client.get("/hub/operations")).json()["operations"]
    assert {each["id"] for each in listed} == {first, again, *others}
    assert again != first


async def test_an_operation_that_fails_says_why_to_who_waits_and_to_who_does_not(hub: RunningHub) -> None:
    hub.workers["alpha"].load_error = (500, "load_failed", "no such file")
    waited = await hub.post("/hub/models/alpha/load")
    assert (waited.status_code, waited.json()["error"]["code"]) == (500, "load_failed")
    [view] = (await hub.client.get("/hub/operations")).json()["operations"]
    assert (view["state"], view["message"]) == ("failed", waited.json()["error"]["message"])


async def test_one_for_all_models_ends_with_the_results_of_each(hub: RunningHub) -> None:
    begun = (await hub.client.post("/hub/start-all", json={})).json()
    assert begun["model"] is None
    view = await ended(hub, begun["id"])
    assert [(each["name"], each["ok"]) for each in view["results"]] == [("alpha", True), ("beta", True)]


async def test_what_is_unknown_is_not_found(hub: RunningHub) -> None:
    answer = await hub.client.get("/hub/operations/op-1")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "operation_not_found")
    assert (await hub.client.post("/hub/models/nobody/stop", json={})).status_code == 404
    assert (await hub.client.get("/hub/operations")).json() == {"operations": []}
