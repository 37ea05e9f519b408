"""The controller brings back what launchd holds back."""

from pathlib import Path

import pytest

from mlxhub.core.lifecycle import ProcessState
from tests.controller.hub import ALPHA, BETA, running_hub

pytestmark = pytest.mark.anyio


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


async def test_who_was_stopped_stays_down(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA) as hub:
        hub.launchd.on_demand_only = True
        assert (await hub.post("/hub/models/alpha/stop")).status_code == 200
        calls = list(hub.launchd.calls)
        await hub.until("alpha", lambda view: view.process is ProcessState.STOPPED)
        await hub.controller.observer.look_at_all()
        assert hub.launchd.calls == calls
