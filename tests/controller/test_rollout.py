"""During a reload every model is reached where it runs, and only what is being changed waits."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from mlxhub.controller.collaborators import ReloadOutcome
from mlxhub.controller.hub_in_use import HubInUse
from mlxhub.controller.rollout import Rollout, partly
from mlxhub.core.config import ModelConfig
from mlxhub.errors import LockTimeout, MlxhubError, ModelChanging, PlanFailed, StateUnwritable
from mlxhub.fleet.hub import Hub
from mlxhub.launchd.carry_out import During
from mlxhub.protocol.hub import Failure
from tests.controller.hub import (
    ALPHA,
    BETA,
    WAIT_SECONDS,
    RunningHub,
    make_test_hub,
    running_hub,
)
from tests.fakes.launchd import FakeLaunchd
from tests.fakes.ports import free_ports

pytestmark = pytest.mark.anyio


def moved(hub: Hub, directory: Path, *names: str, generation: str = "g2") -> Hub:
    """These models on other ports; their plists on disk are as they were."""
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    models = {
        name: model.config.model_copy(update={"port": ports.get(name, model.port)})
        for name, model in hub.models.items()
    }
    return make_test_hub(
        directory, *models.values(), config=hub.config, generations=dict.fromkeys(names, generation)
    )


def label_of(name: str) -> str:
    return f"io.mlxhub.worker.{name}"


async def test_a_halted_rollout_leaves_what_was_not_begun_where_it_runs(
    hub: RunningHub, tmp_path: Path
) -> None:
    new = moved(hub.hub, tmp_path, "alpha", "beta")
    hub.next_hub = lambda: new
    problem = MlxhubError("it is not ready.")

    def halt(_: Hub, during: During) -> ReloadOutcome:
        hub.launchd.jobs[label_of("alpha")].generation = "g2"
        with pytest.raises(PlanFailed), during((label_of("alpha"),)):
            raise PlanFailed({label_of("alpha"): problem})
        return ReloadOutcome(failed=(Failure(name="alpha", message=str(problem)),), not_begun=("beta",))

    hub.carry_out = halt
    assert (await hub.post("/hub/reload")).json()["not_begun"] == ["beta"]
    assert (await hub.chat("beta")).status_code == 200
    assert (await hub.view("beta")).port == hub.hub.models["beta"].port
    assert (await hub.view("alpha")).port == new.models["alpha"].port


async def test_a_model_whose_change_failed_before_it_was_touched_is_reached_where_it_runs(
    hub: RunningHub, tmp_path: Path
) -> None:
    new = moved(hub.hub, tmp_path, "alpha")
    hub.next_hub = lambda: new
    full = StateUnwritable("/agents/a.plist", "no space left on device")

    def fail(_: Hub, during: During) -> ReloadOutcome:
        with pytest.raises(PlanFailed), during((label_of("alpha"),)):
            raise PlanFailed({label_of("alpha"): full})
        return ReloadOutcome(failed=(Failure(name="alpha", message=str(full)),))

    hub.carry_out = fail
    await hub.post("/hub/reload")
    assert (await hub.chat("alpha")).status_code == 200


@pytest.mark.parametrize("problem", [LockTimeout("/lock", 30), OSError(28, "No space left on device")])
async def test_a_reload_that_fails_before_its_first_step_changes_no_way(
    problem: Exception, hub: RunningHub, tmp_path: Path
) -> None:
    alpha = hub.hub.models["alpha"].config.model_copy(update={"port": free_ports(1)[0]})
    hub.next_hub = lambda: make_test_hub(tmp_path, alpha, generations={"alpha": "g2"})
    hub.outcome = problem
    assert (await hub.post("/hub/reload")).status_code >= 400
    assert (await hub.chat("alpha")).status_code == 200
    assert (await hub.chat("beta")).status_code == 200


async def test_other_models_start_and_stop_during_a_long_rollout(tmp_path: Path) -> None:
    gamma = ModelConfig(name="gamma", model_path="builtin:demo", default=True)
    async with running_hub(tmp_path, ALPHA, BETA, gamma, stopped=("beta",)) as hub:
        begun, may_end = threading.Event(), threading.Event()

        def slow(_: Hub, during: During) -> ReloadOutcome:
            with during((label_of("alpha"),)):
                begun.set()
                assert may_end.wait(WAIT_SECONDS)
            return ReloadOutcome(restarted=("alpha",))

        hub.carry_out = slow
        reloading = asyncio.create_task(hub.post("/hub/reload"))
        try:
            assert await asyncio.to_thread(begun.wait, WAIT_SECONDS)
            assert (await hub.chat("beta")).status_code == 200
            assert (await hub.post("/hub/models/gamma/stop")).json()["ok"]
            assert not reloading.done()
            held = asyncio.create_task(hub.post("/hub/models/alpha/stop"))
            assert not (await asyncio.wait([held], timeout=0.3))[0]
        finally:
            may_end.set()
        assert (await reloading).status_code == 200
        assert (await held).json()["ok"]


async def test_models_come_and_go_with_their_stage_and_routes_at_once(
    hub: RunningHub, tmp_path: Path
) -> None:
    renamed = hub.hub.models["alpha"].config.model_copy(update={"aliases": ("new",)})
    gamma = BETA.model_copy(update={"name": "gamma", "port": free_ports(1)[0]})
    hub.next_hub = lambda: make_test_hub(tmp_path, renamed, gamma)
    seen: list[list[str]] = []

    def routes(hub_now: Callable[[], Awaitable[list[str]]]) -> None:
        seen.append(asyncio.run_coroutine_threadsafe(_list(hub_now), loop).result(WAIT_SECONDS))

    async def now() -> list[str]:
        models = (await hub.client.get("/hub/status")).json()["models"]
        return sorted([model["name"] for model in models] + [a for model in models for a in model["aliases"]])

    async def _list(ask: Callable[[], Awaitable[list[str]]]) -> list[str]:
        return await ask()

    loop = asyncio.get_running_loop()

    def carry_out(_: Hub, during: During) -> ReloadOutcome:
        with during((label_of("beta"),)):
            routes(now)
        with during((label_of("gamma"),)):
            routes(now)
        return ReloadOutcome(stopped=("beta",), started=("gamma",), unchanged=("alpha",))

    hub.carry_out = carry_out
    assert (await hub.post("/hub/reload")).status_code == 200
    assert seen == [["alpha", "beta", "new"], ["alpha", "new"]]
    assert await now() == ["alpha", "gamma", "new"]


async def test_a_change_that_does_not_end_is_told_and_leaves_no_lock(tmp_path: Path) -> None:
    hub = make_test_hub(
        tmp_path, ALPHA.model_copy(update={"port": 47901}), BETA.model_copy(update={"port": 47902})
    )
    locks = {"alpha": asyncio.Lock(), "beta": asyncio.Lock()}

    async def look(_: str) -> None:
        pass

    rollout = Rollout(
        hub, HubInUse(hub), launchd=FakeLaunchd(), changing=locks, look=look, changing_seconds=0.05
    )

    def begin() -> None:
        with rollout.during((label_of("alpha"), label_of("beta"))):
            raise AssertionError("it is entered")

    async with locks["beta"]:
        with pytest.raises(ModelChanging, match='Model "beta" was left as it is'):
            await asyncio.to_thread(begin)
    assert not locks["alpha"].locked()


async def test_a_model_that_could_not_be_taken_away_stays_until_it_is(tmp_path: Path) -> None:
    alpha, beta = ALPHA.model_copy(update={"port": 47901}), BETA.model_copy(update={"port": 47902})
    old, launchd = make_test_hub(tmp_path, alpha, beta), FakeLaunchd()
    in_use = HubInUse(old)

    async def look(_: str) -> None:
        pass

    def fail(during: During) -> None:
        with pytest.raises(PlanFailed), during((label_of("beta"),)):
            raise PlanFailed({label_of("beta"): MlxhubError("it does not go.")})

    for loaded in (True, False):
        launchd.jobs.clear()
        if loaded:
            launchd.install(label_of("beta"), old.models["beta"].plist, "g1")
        rollout = Rollout(
            make_test_hub(tmp_path, alpha),
            in_use,
            launchd=launchd,
            changing={"alpha": asyncio.Lock(), "beta": asyncio.Lock()},
            look=look,
        )
        await asyncio.to_thread(fail, rollout.during)
        rollout.finish(["beta"])
        assert ("beta" in in_use.value.models) is loaded


def test_a_name_that_moves_leaves_the_one_model_when_the_other_is_taken(tmp_path: Path) -> None:
    alpha, beta = ALPHA.model_copy(update={"port": 47901}), BETA.model_copy(update={"port": 47902})
    old = make_test_hub(tmp_path, alpha, beta)
    new = make_test_hub(
        tmp_path,
        alpha.model_copy(update={"aliases": ()}),
        beta.model_copy(update={"aliases": ("org/alpha",)}),
    )
    assert partly(old, new, {"alpha"}).names == {"alpha": "alpha", "beta": "beta", "org/alpha": "alpha"}
    assert partly(old, new, {"alpha", "beta"}).names == {
        "alpha": "alpha",
        "beta": "beta",
        "org/alpha": "beta",
    }
    assert partly(old, new, set()).names == old.names
