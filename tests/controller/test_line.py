"""Who waits for a model at the controller: how many may, for whom, and what they are told when it ends."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest

from mlxhub.core.lifecycle import ModelState
from mlxhub.core.limits import GroupLimit, HubLimits, ModelLimit
from tests.controller.hub import ALPHA, BETA, WAIT_SECONDS, RunningHub, running_hub
from tests.fakes.waiting import until

pytestmark = pytest.mark.anyio

IN_GROUP = ModelLimit(group="g", reserved_bytes=None, pinned=False)
ONE_OF_TWO = HubLimits(
    memory_bytes=None,
    groups=(GroupLimit("g", max_loaded=1, idle_minutes=None),),
    models={"alpha": IN_GROUP, "beta": IN_GROUP},
)
# One is served and one waits in the worker: so many may wait for it here.
SHORT_LINE = ALPHA.model_copy(update={"max_concurrency": 1, "queue_size": 1})


def refusal(response: httpx.Response) -> tuple[int, str]:
    assert int(response.headers["retry-after"]) >= 1
    return response.status_code, response.json()["error"]["code"]


async def ask(hub: RunningHub, count: int) -> list[asyncio.Task[httpx.Response]]:
    """So many wait for alpha, which is being loaded."""
    hub.workers["alpha"].may_load.clear()
    asking = [asyncio.create_task(hub.chat("alpha", n=number)) for number in range(count)]
    await until(lambda: hub.workers["alpha"].loads == 1)
    return asking


async def test_a_silent_worker_keeps_its_place_until_its_process_is_gone(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA, BETA, hub_limits=ONE_OF_TWO) as hub:
        assert (await hub.chat("alpha")).status_code == 200
        hub.workers["alpha"].muted = True
        await hub.until("alpha", lambda view: view.memory is None)
        assert refusal(await hub.chat("beta")) == (429, "group_capacity_exceeded")
        assert hub.workers["beta"].loads == 0

        hub.workers["alpha"].muted = False
        hub.workers["alpha"].memory = ModelState.UNLOADED
        await hub.kill_worker("alpha")
        await hub.until("alpha", lambda view: view.memory == "unloaded")
        assert (await hub.chat("beta")).status_code == 200


async def test_as_many_wait_as_the_worker_takes_and_queues_and_the_next_is_told_to_come_again(
    tmp_path: Path,
) -> None:
    async with running_hub(tmp_path, SHORT_LINE, BETA) as hub:
        asking = await ask(hub, 3)
        async with asyncio.timeout(WAIT_SECONDS):
            refused, waiting = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        assert [refusal(each.result()) for each in refused] == [(429, "queue_full")]
        assert len(waiting) == 2
        assert (await hub.chat("beta")).status_code == 200

        hub.workers["alpha"].may_load.set()
        assert [(await each).status_code for each in waiting] == [200, 200]
        assert (await hub.chat("alpha")).status_code == 200


async def test_who_waits_when_the_controller_ends_is_told_so_at_once(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA) as hub:
        asking = await ask(hub, 3)
        hub.controller.begin_drain()
        async with asyncio.timeout(WAIT_SECONDS):
            assert [refusal(await each) for each in asking] == [(503, "shutting_down")] * 3
        assert hub.controller.dispatcher.is_idle
        hub.workers["alpha"].may_load.set()
        await hub.until("alpha", lambda view: view.memory == "ready")
        assert hub.workers["alpha"].received == []


async def test_a_stream_that_waits_then_ends_with_an_error_event(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA, keepalive_seconds=0.05) as hub:
        hub.workers["alpha"].may_load.clear()
        body = {"model": "alpha", "stream": True}
        said: list[str] = []
        async with (
            asyncio.timeout(WAIT_SECONDS),
            hub.client.stream("POST", "/v1/chat/completions", json=body) as response,
        ):
            async for piece in response.aiter_text():
                said.append(piece)
                if len(said) == 1:
                    hub.controller.begin_drain()
        *alive, last = "".join(said).removesuffix("\n\n").split("\n\n")
        assert set(alive) == {": keepalive"}
        assert json.loads(last.removeprefix("data: "))["error"]["code"] == "shutting_down"
