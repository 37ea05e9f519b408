"""A lease goes by the hub of the moment: a reload may move a model while it is being started."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from mlxhub.controller.collaborators import Collaborators, ReloadOutcome
from mlxhub.controller.dispatcher import Dispatcher
from mlxhub.controller.hub_in_use import HubInUse
from mlxhub.controller.observer import Observer
from mlxhub.controller.operations import Operations
from mlxhub.controller.scheduling import Scheduling
from mlxhub.core.lifecycle import ModelState
from mlxhub.core.observed import AgentState
from mlxhub.fleet.happenings import Happening
from mlxhub.fleet.workers import Workers
from tests.controller.hub import ALPHA, controller_settings, make_test_hub
from tests.fakes.catalogue import FakeCatalogue
from tests.fakes.launchd import FakeLaunchd
from tests.fakes.ports import free_ports
from tests.fakes.worker import FakeWorker, Trusting

pytestmark = pytest.mark.anyio

PID = 50_001


class Meanwhile(FakeLaunchd):
    """`happens` at the next inspection, which is where a start waits."""

    happens: Callable[[], None] | None = None

    def inspect(self, label: str) -> AgentState:
        if self.happens is not None:
            happens, self.happens = self.happens, None
            happens()
        return super().inspect(label)


@dataclass
class Moving:
    """A model whose worker runs at the old port and, for a hub that is not in use yet, at the new one."""

    dispatcher: Dispatcher
    observer: Observer
    launchd: Meanwhile
    old: FakeWorker
    new: FakeWorker
    move: Callable[[], None]


@asynccontextmanager
async def moving_hub(directory: Path) -> AsyncIterator[Moving]:
    old, new = (FakeWorker("alpha", port, memory=ModelState.READY) for port in free_ports(2))
    hubs = [
        make_test_hub(directory, ALPHA.model_copy(update={"port": worker.port, "jit": False}))
        for worker in (old, new)
    ]
    in_use = HubInUse(hubs[0])
    launchd = Meanwhile()
    launchd.install(hubs[0].models["alpha"].label, hubs[0].models["alpha"].plist, "g1")
    outside = Collaborators(
        lambda: hubs[1], launchd, lambda *_: ReloadOutcome(), lambda _: "", FakeCatalogue()
    )
    workers = Workers(Trusting())
    happened: list[Happening] = []
    observer = Observer(in_use, outside, workers)
    for worker in (old, new):
        await worker.open(PID)
    async with asyncio.TaskGroup() as tasks:
        operations = Operations(
            in_use, observer, workers, outside, controller_settings(directory), tasks, happened.append
        )
        scheduling = Scheduling(in_use, observer, operations, tasks)
        dispatcher = Dispatcher(in_use, observer, scheduling, workers, Trusting())
        yield Moving(dispatcher, observer, launchd, old, new, move=lambda: in_use.replace(hubs[1]))
    for worker in (old, new):
        await worker.die()


async def test_a_model_that_moves_while_it_starts_is_asked_at_its_new_port(tmp_path: Path) -> None:
    async with moving_hub(tmp_path) as hub:
        hub.launchd.happens = hub.move
        async with hub.dispatcher.lease("alpha") as lease:
            await lease.ask("POST", b"/v1/x", [], b"{}")
        assert [len(worker.received) for worker in (hub.old, hub.new)] == [0, 1]


async def test_a_model_that_moves_while_it_is_revived_is_asked_at_its_new_port(tmp_path: Path) -> None:
    async with moving_hub(tmp_path) as hub:
        await hub.observer.look("alpha")
        async with hub.dispatcher.lease("alpha") as lease:
            await hub.old.die()
            hub.launchd.happens = hub.move
            await lease.ask("POST", b"/v1/x", [], b"{}")
        assert [len(worker.received) for worker in (hub.old, hub.new)] == [0, 1]
