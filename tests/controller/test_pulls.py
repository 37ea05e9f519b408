"""Models are pulled one at a time, for whoever asks, and their progress is told."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlxhub.errors import PullFailed, UnknownCheckpoint
from mlxhub.registry.pulling import Came, Planned, Pulled
from tests.controller.hub import ALPHA, RunningHub, running_hub
from tests.fakes.waiting import until

pytestmark = pytest.mark.anyio


async def pull(hub: RunningHub, repo: str) -> dict[str, Any]:
    answer = await hub.client.post("/hub/pulls", json={"model": repo})
    assert answer.status_code == 202, answer.text
    view: dict[str, Any] = answer.json()
    return view


async def pulls(hub: RunningHub) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await hub.client.get("/hub/pulls")).json()["pulls"]
    return found


async def until_told(hub: RunningHub, fact: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
    while not fact(told := await pulls(hub)):
        pass
    return told


async def test_one_is_pulled_after_the_other_and_both_tell_how_far_they_are(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA) as hub:
        first = await pull(hub, "org/a")
        second = await pull(hub, "org/b")
        assert (await pull(hub, "org/a"))["id"] == first["id"], "who asks again gets the one there is"
        await until(lambda: len(hub.catalogue.pulls) == 1)
        one = hub.catalogue.pulls[0]
        one.say(Planned("c", 3, 1000, 100))
        one.say(Came(400))
        told = await until_told(hub, lambda told: told[1]["done_bytes"] == 400)
        assert [(each["model"], each["state"], each["total_bytes"]) for each in told] == [
            ("org/b", "queued", None),
            ("org/a", "running", 1000),
        ]
        looks = hub.catalogue.looks
        one.say(Pulled("/cache/a"))
        await until(lambda: len(hub.catalogue.pulls) == 2)
        await until(lambda: hub.catalogue.looks == looks + 1)
        hub.catalogue.pulls[1].say(PullFailed("gated", "org/b asks for consent."))
        told = await until_told(hub, lambda told: told[0]["state"] == "failed")
        assert (told[0]["id"], told[0]["code"], told[0]["error"]) == (
            second["id"],
            "gated",
            "org/b asks for consent.",
        )
        assert (told[1]["state"], told[1]["done_bytes"]) == ("done", 1000)


async def test_one_that_runs_and_one_that_waits_can_be_cancelled(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA) as hub:
        first, second = await pull(hub, "org/a"), await pull(hub, "org/b")
        await until_told(hub, lambda told: told[1]["state"] == "running")
        await until(lambda: len(hub.catalogue.pulls) == 1)
        cancelled = await hub.client.delete(f"/hub/pulls/{second['id']}")
        assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
        said = (await hub.client.get("/hub/events?follow=false")).text
        assert "The pull of org/b was cancelled before it began." in said
        hub.catalogue.pulls[0].say(Planned("c", 1, 10, 0))
        await until_told(hub, lambda told: told[1]["total_bytes"] == 10)
        await hub.client.delete(f"/hub/pulls/{first['id']}")
        told = await until_told(hub, lambda told: told[1]["state"] == "cancelled")
        assert len(hub.catalogue.pulls) == 1, "what was cancelled before its turn never began"
        assert [each["state"] for each in told] == ["cancelled", "cancelled"]


async def test_what_cannot_be_pulled_or_is_not_known_is_said(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA) as hub:
        refused = await hub.client.post("/hub/pulls", json={"model": "../../etc"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "pull_refused")
        unknown = await hub.client.delete("/hub/pulls/pull-0")
        assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "pull_not_found")
        for number in range(16):
            await pull(hub, f"org/m{number}")
        full = await hub.client.post("/hub/pulls", json={"model": "org/one-more"})
        assert (full.status_code, "are waiting" in full.text) == (409, True)
        for each in await pulls(hub):
            await hub.client.delete(f"/hub/pulls/{each['id']}")


async def test_a_pull_that_does_not_start_is_told(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA) as hub:
        hub.catalogue.error = PullFailed("broken_off", "The program that pulls does not start.")
        await pull(hub, "org/a")
        told = await until_told(hub, lambda told: told[0]["state"] == "failed")
        assert told[0]["code"] == "broken_off"


async def test_an_error_nobody_expected_ends_the_pull_and_not_the_controller(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA) as hub:
        hub.catalogue.error = UnknownCheckpoint("org/a")
        await pull(hub, "org/a")
        told = await until_told(hub, lambda told: told[0]["state"] == "failed")
        assert "org/a" in told[0]["error"]
        hub.catalogue.error = None
        await pull(hub, "org/a")
        await until(lambda: len(hub.catalogue.pulls) == 1)
        hub.catalogue.pulls[0].say(Pulled("/cache/a"))
        await until_told(hub, lambda told: told[0]["state"] == "done")


async def test_what_comes_while_disks_are_looked_at_is_looked_for_again(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA) as hub:
        hub.catalogue.may_look.clear()
        await hub.client.get("/hub/discovered")
        await until(lambda: hub.catalogue.looks == 1)
        await pull(hub, "org/a")
        await until(lambda: len(hub.catalogue.pulls) == 1)
        hub.catalogue.pulls[0].say(Pulled("/cache/a"))
        await until_told(hub, lambda told: told[0]["state"] == "done")
        hub.catalogue.may_look.set()
        await until(lambda: hub.catalogue.looks == 2)


async def test_one_that_is_cancelled_while_it_begins_is_cancelled(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA) as hub:
        hub.catalogue.may_begin.clear()
        begun = await pull(hub, "org/a")
        await until_told(hub, lambda told: told[0]["state"] == "running")
        await hub.client.delete(f"/hub/pulls/{begun['id']}")
        hub.catalogue.may_begin.set()
        await until_told(hub, lambda told: told[0]["state"] == "cancelled")


async def test_how_quickly_it_comes_is_told_and_each_second_at_most_how_far_it_is(tmp_path: Path) -> None:
    now = [1000.0]
    async with running_hub(tmp_path, ALPHA, clock=lambda: now[0]) as hub:
        await pull(hub, "org/a")
        await until(lambda: len(hub.catalogue.pulls) == 1)
        one = hub.catalogue.pulls[0]
        one.say(Planned("c", 3, 1_000_000, 0))
        await until_told(hub, lambda told: told[0]["total_bytes"] == 1_000_000)
        for seconds, done in ((2.0, 100_000), (0.5, 200_000), (1.5, 400_000)):
            now[0] += seconds
            one.say(Came(done))
            told = await until_told(hub, lambda told, done=done: told[0]["done_bytes"] == done)  # type: ignore[misc]
        assert told[0]["bytes_per_second"] == 100_000
        said = (await hub.client.get("/hub/events?follow=false")).text
        shares = [share for share in ("10 %", "20 %", "40 %") if f"{share} of" in said]
        assert shares == ["10 %", "40 %"]
        one.say(Pulled("/cache/a"))
        told = await until_told(hub, lambda told: told[0]["state"] == "done")
        assert told[0]["bytes_per_second"] is None


async def test_its_begin_and_its_end_are_events(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA) as hub:
        await pull(hub, "org/a")
        await until(lambda: len(hub.catalogue.pulls) == 1)
        hub.catalogue.pulls[0].say(Pulled("/cache/a"))
        await until_told(hub, lambda told: told[0]["state"] == "done")
        said = (await hub.client.get("/hub/events?follow=false")).text
        assert '"kind":"pull.running"' in said.replace(" ", "")
        assert "org/a has been pulled." in said
