"""The controller brings back what launchd holds back, and nothing that somebody stopped."""

import asyncio
import time
from functools import partial
from pathlib import Path

import pytest
from loguru import logger

from mlxhub.core.lifecycle import ProcessState
from mlxhub.core.observed import AgentState
from mlxhub.core.repair import LONGEST_PAUSE_SECONDS, NEVER_RAN_SECONDS, Repair, repair_for
from tests.controller.hub import ALPHA, BETA, RunningHub, running_hub
from tests.fakes.launchd import FakeLaunchd
from tests.fakes.waiting import until

pytestmark = pytest.mark.anyio

REPAIR_EVERY_SECONDS = 0.02


async def test_a_start_that_launchd_holds_back_is_demanded(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA) as hub:
        hub.launchd.on_demand_only = True
        await hub.kill_worker("alpha")
        await hub.until("alpha", lambda view: view.process is ProcessState.STOPPED)
        view = await hub.until("alpha", lambda view: view.process is ProcessState.RUNNING)
        assert view.restarts == 1


async def test_a_stale_definition_is_loaded_anew(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA, BETA) as hub:
        hub.launchd.stale.add(hub.label("alpha"))
        await hub.kill_worker("alpha")
        await hub.until("alpha", lambda view: view.process is not ProcessState.RUNNING)
        await hub.until("alpha", lambda view: view.process is ProcessState.RUNNING)
        assert ("bootout", hub.label("alpha")) in hub.launchd.calls
        assert ("bootout", hub.label("beta")) not in hub.launchd.calls


class Clock:
    """Monotonic time that a test can have pass."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


async def several_looks(hub: RunningHub) -> None:
    """Long enough for repairs to look at every model some times."""
    await hub.controller.observer.look_at_all()
    await asyncio.sleep(10 * REPAIR_EVERY_SECONDS)


@pytest.mark.parametrize("on_demand_only", [True, False])
async def test_who_was_stopped_stays_down(tmp_path: Path, on_demand_only: bool) -> None:
    clock = Clock()
    async with running_hub(tmp_path, ALPHA, clock=clock, repair_every_seconds=REPAIR_EVERY_SECONDS) as hub:
        hub.launchd.on_demand_only = on_demand_only
        assert (await hub.post("/hub/models/alpha/stop")).status_code == 200
        calls = list(hub.launchd.calls)
        for _ in range(3):
            clock.ahead += 2 * NEVER_RAN_SECONDS
            await several_looks(hub)
        assert hub.launchd.calls == calls


async def test_who_did_not_run_after_a_login_is_started_and_who_was_stopped_before_is_not(
    tmp_path: Path,
) -> None:
    """The same time passes for both: what tells them apart is the stop."""
    clock = Clock()
    async with running_hub(
        tmp_path,
        ALPHA,
        BETA,
        stopped=("alpha", "beta"),
        clock=clock,
        repair_every_seconds=REPAIR_EVERY_SECONDS,
    ) as hub:
        assert (await hub.post("/hub/models/beta/stop")).json()["ok"]
        await several_looks(hub)
        clock.ahead += 2 * NEVER_RAN_SECONDS
        await hub.until("alpha", lambda view: view.process is ProcessState.RUNNING)
        await several_looks(hub)
        assert (await hub.view("beta")).process is ProcessState.NOT_INSTALLED


async def test_a_person_may_stop_what_launchd_holds_back(tmp_path: Path) -> None:
    clock = Clock()
    async with running_hub(tmp_path, ALPHA, clock=clock, repair_every_seconds=60) as hub:
        hub.launchd.on_demand_only = True
        await hub.kill_worker("alpha")
        assert "is stopped" in (await hub.post("/hub/models/alpha/stop")).json()["message"]
        assert hub.label("alpha") not in hub.launchd.jobs


async def test_a_stop_after_the_last_look_is_not_undone(tmp_path: Path) -> None:
    """What decides is what launchd says when the repair's turn comes, not what was seen before."""
    async with running_hub(tmp_path, ALPHA, repair_every_seconds=60) as hub:
        hub.launchd.on_demand_only = True
        await hub.kill_worker("alpha")
        asked: list[AgentState] = []

        def decide(agent: AgentState) -> Repair | None:
            asked.append(agent)
            return repair_for(agent, down_seconds=100, reinstalled=False)

        stopping = asyncio.create_task(hub.post("/hub/models/alpha/stop"))
        await until(lambda: ("bootout", hub.label("alpha")) in hub.launchd.calls)
        assert await hub.controller.operations.repair("alpha", decide) is None
        await stopping
        assert [agent.loaded for agent in asked] == [False]
        assert hub.label("alpha") not in hub.launchd.jobs


async def test_what_runs_by_now_is_left_alone(hub: RunningHub) -> None:
    pid = hub.workers["alpha"].pid
    decide = partial(repair_for, down_seconds=100, reinstalled=False)
    assert await hub.controller.operations.repair("alpha", decide) is None
    assert (hub.workers["alpha"].pid, hub.launchd.calls) == (pid, [])


async def test_a_definition_that_could_not_be_loaded_anew_is_tried_again(tmp_path: Path) -> None:
    clock = Clock()
    async with running_hub(tmp_path, ALPHA, clock=clock, repair_every_seconds=REPAIR_EVERY_SECONDS) as hub:
        label = hub.label("alpha")
        hub.launchd.disabled.add(label)
        hub.launchd.stale.add(label)
        await hub.kill_worker("alpha")
        await hub.until("alpha", lambda view: view.process is ProcessState.NOT_INSTALLED)
        hub.launchd.disabled.clear()
        clock.ahead += LONGEST_PAUSE_SECONDS
        await hub.until("alpha", lambda view: view.process is ProcessState.RUNNING)
        assert not hub.controller.operations.was_taken_away("alpha")


async def test_who_stops_what_a_repair_took_away_is_heeded(tmp_path: Path) -> None:
    clock = Clock()
    async with running_hub(tmp_path, ALPHA, clock=clock, repair_every_seconds=REPAIR_EVERY_SECONDS) as hub:
        label = hub.label("alpha")
        hub.launchd.disabled.add(label)
        hub.launchd.stale.add(label)
        await hub.kill_worker("alpha")
        await hub.until("alpha", lambda view: view.process is ProcessState.NOT_INSTALLED)
        await hub.post("/hub/models/alpha/stop")
        hub.launchd.disabled.clear()
        clock.ahead += LONGEST_PAUSE_SECONDS
        await several_looks(hub)
        assert label not in hub.launchd.jobs


class Breaking(FakeLaunchd):
    """Its next kickstart meets an error that is none of ours."""

    broken = False

    def kickstart(self, label: str) -> None:
        if self.broken:
            self.broken = False
            raise OSError(24, "Too many open files")
        super().kickstart(label)


async def test_a_repair_that_breaks_is_logged_and_made_again(tmp_path: Path) -> None:
    clock, launchd = Clock(), Breaking()
    logged: list[str] = []
    sink = logger.add(lambda message: logged.append(str(message)), level="ERROR")
    async with running_hub(
        tmp_path, ALPHA, clock=clock, repair_every_seconds=REPAIR_EVERY_SECONDS, launchd=launchd
    ) as hub:
        launchd.on_demand_only = launchd.broken = True
        await hub.kill_worker("alpha")
        await until(lambda: not launchd.broken)
        clock.ahead += LONGEST_PAUSE_SECONDS
        await hub.until("alpha", lambda view: view.process is ProcessState.RUNNING)
    logger.remove(sink)
    assert any('Unexpected error in a repair of model "alpha"' in line for line in logged)
