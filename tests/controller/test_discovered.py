"""What lies on disk is told at once, looked for beside everything else, and put into hub.yaml on demand."""

from pathlib import Path

import pytest

from mlxhub.errors import HubYamlLeftAlone, MlxhubError
from tests.controller.hub import ALPHA, RunningHub, running_hub
from tests.fakes.waiting import until

pytestmark = pytest.mark.anyio


async def seen(hub: RunningHub) -> dict[str, object]:
    answer = await hub.client.get("/hub/discovered")
    assert answer.status_code == 200
    view: dict[str, object] = answer.json()
    return view


async def names(hub: RunningHub) -> list[str]:
    models = (await seen(hub))["models"]
    assert isinstance(models, list)
    return [model["model_path"] for model in models]


async def until_scanned(hub: RunningHub) -> dict[str, object]:
    while (view := await seen(hub))["scanning"]:
        pass
    return view


async def test_the_first_question_begins_a_look_and_a_disk_that_hangs_holds_up_nobody(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA) as hub:
        assert hub.catalogue.looks == 0
        hub.catalogue.found = ["org/a", "org/b"]
        hub.catalogue.may_look.clear()
        view = await seen(hub)
        assert (view["models"], view["scanning"], view["scanned_at"]) == ([], True, None)
        await until(lambda: hub.catalogue.looks == 1)
        await seen(hub)
        assert hub.catalogue.looks == 1, "one look at a time"
        hub.catalogue.may_look.set()
        await until_scanned(hub)
        assert await names(hub) == ["org/a", "org/b"]
        assert hub.catalogue.looks == 1, "what was just found is not looked for again"


async def test_a_new_model_is_found_when_somebody_asks(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA) as hub:
        await seen(hub)
        await until_scanned(hub)
        hub.catalogue.found = ["org/new"]
        assert (await hub.client.post("/hub/discovered/rescan", json={})).json()["scanning"]
        await until_scanned(hub)
        assert await names(hub) == ["org/new"]


async def test_what_fails_is_told_and_the_last_facts_stay(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA) as hub:
        hub.catalogue.found = ["org/a"]
        await seen(hub)
        await until_scanned(hub)
        hub.catalogue.error = MlxhubError("no disk")
        await hub.client.post("/hub/discovered/rescan", json={})
        view = await until_scanned(hub)
        assert view["error"] == "no disk"
        assert await names(hub) == ["org/a"]


async def test_models_are_enabled_and_disabled_and_the_list_is_made_anew(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA) as hub:
        asked = {"model": "org/a", "name": "a"}
        answer = await hub.client.post("/hub/discovered/enable", json=asked)
        assert (answer.status_code, answer.json()["name"]) == (200, "a")
        assert hub.catalogue.enabled == ["a"]
        await until(lambda: hub.catalogue.looks == 1)
        answer = await hub.client.post("/hub/discovered/disable", json={"model": "a"})
        assert answer.status_code == 200
        assert hub.catalogue.enabled == []


@pytest.mark.parametrize(
    "body", [{}, {"model": ""}, {"model": 1}, {"model": "a", "nam": "b"}, {"model": "a" * 5000}]
)
async def test_a_question_that_makes_no_sense_is_refused(tmp_path: Path, body: object) -> None:
    async with running_hub(tmp_path, ALPHA) as hub:
        answer = await hub.client.post("/hub/discovered/enable", json=body)
        assert answer.status_code == 400
        assert hub.catalogue.enabled == []


async def test_why_a_model_cannot_be_enabled_is_told(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA) as hub:
        hub.catalogue.error = HubYamlLeftAlone("org/a cannot be loaded: it is damaged.")
        answer = await hub.client.post("/hub/discovered/enable", json={"model": "org/a"})
        assert answer.status_code == 409
        assert answer.json()["error"]["message"] == "org/a cannot be loaded: it is damaged."
