"""The observer goes on whatever one look meets."""

import asyncio
from pathlib import Path

import pytest
from loguru import logger

from mlxhub.controller.collaborators import Collaborators, ReloadOutcome
from mlxhub.controller.hub_in_use import HubInUse
from mlxhub.controller.observer import Observer
from mlxhub.core.lifecycle import ModelState, ProcessState
from mlxhub.core.limits import Holder
from mlxhub.core.observed import AgentState
from mlxhub.fleet.holdings import Holdings
from mlxhub.fleet.workers import Workers
from mlxhub.protocol.hub import HubStatus
from tests.controller.hub import ALPHA, BETA, make_test_hub, running_hub
from tests.fakes.catalogue import FakeCatalogue
from tests.fakes.launchd import FakeLaunchd
from tests.fakes.ports import free_ports
from tests.fakes.waiting import until
from tests.fakes.worker import Trusting

pytestmark = pytest.mark.anyio


class HalfBroken(FakeLaunchd):
    def inspect(self, label: str) -> AgentState:
        if label.endswith("alpha"):
            raise ZeroDivisionError("by accident")
        return super().inspect(label)


async def test_a_look_that_breaks_leaves_its_model_silent_and_the_others_seen(tmp_path: Path) -> None:
    models = [
        model.model_copy(update={"port": port})
        for model, port in zip((ALPHA, BETA), free_ports(2), strict=True)
    ]
    hub = make_test_hub(tmp_path, *models)
    outside = Collaborators(
        lambda: hub, HalfBroken(), lambda *_: ReloadOutcome(), lambda _: "", FakeCatalogue()
    )
    observer = Observer(HubInUse(hub), outside, Workers(Trusting()))
    logged: list[str] = []
    sink = logger.add(lambda message: logged.append(str(message)), level="ERROR")
    observing = asyncio.create_task(observer.run())
    await until(lambda: observer.has_seen_all)
    await observer.look("alpha")
    logger.remove(sink)
    assert not observing.done()
    observing.cancel()
    alpha = observer.facts["alpha"]
    assert (alpha.silent, alpha.silence) == (True, "looking at it failed: ZeroDivisionError: by accident")
    assert observer.facts["beta"].agent is not None
    assert len(logged) == 1
    assert "Traceback" in logged[0]


async def test_what_models_hold_is_looked_at_again_and_again_and_when_somebody_asks(tmp_path: Path) -> None:
    hub = make_test_hub(tmp_path)
    held = [Holdings(holders=(Holder("alpha", 1),)), Holdings(holders=(Holder("alpha", 2),))]
    outside = Collaborators(
        lambda: hub,
        FakeLaunchd(),
        lambda *_: ReloadOutcome(),
        lambda _: "",
        FakeCatalogue(),
        holdings=lambda: held.pop(0) if len(held) > 1 else held[0],
    )
    observer = Observer(HubInUse(hub), outside, Workers(Trusting()))
    observing = asyncio.create_task(observer.run())
    await until(lambda: observer.holdings.holders == (Holder("alpha", 1),))
    await observer.look_at_all()
    assert observer.holdings.holders == (Holder("alpha", 2),)
    observing.cancel()


class Counted(FakeLaunchd):
    """Notes which labels it was asked about."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def inspect(self, label: str) -> AgentState:
        self.asked.append(label)
        return super().inspect(label)


async def test_a_fresh_status_asks_launchd_only_of_those_whose_worker_says_something_else(
    tmp_path: Path,
) -> None:
    launchd = Counted()
    launchd.throttle = True
    async with running_hub(
        tmp_path, ALPHA, BETA, stopped=("beta",), launchd=launchd, clock=lambda: 1.0
    ) as hub:

        async def processes() -> list[ProcessState]:
            answer = await hub.client.get("/hub/status", params={"fresh": 1})
            return [view.process for view in HubStatus.model_validate_json(answer.content).models]

        await until(lambda: hub.controller.observer.has_seen_all)
        launchd.asked.clear()
        assert await processes() == [ProcessState.RUNNING, ProcessState.STOPPED]
        assert launchd.asked == []
        await hub.kill_worker("alpha")
        assert await processes() == [ProcessState.THROTTLED, ProcessState.STOPPED]
        assert set(launchd.asked) == {hub.label("alpha")}


async def test_launchd_is_not_asked_about_what_only_changes_memory(tmp_path: Path) -> None:
    launchd = Counted()
    async with running_hub(tmp_path, ALPHA, launchd=launchd, clock=lambda: 1.0) as hub:
        await until(lambda: hub.controller.observer.has_seen_all)
        launchd.asked.clear()
        assert (await hub.chat("alpha")).status_code == 200
        assert (await hub.view("alpha")).memory is ModelState.READY
        assert (await hub.post("/hub/models/alpha/unload")).status_code == 200
        assert (await hub.view("alpha")).memory is ModelState.UNLOADED
        assert launchd.asked == []
