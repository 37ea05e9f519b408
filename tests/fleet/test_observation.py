"""One look: the worker is asked each time, launchd only where the worker alone cannot tell."""

import plistlib
from dataclasses import replace
from pathlib import Path

import pytest

from mlxhub.core.config import ModelConfig
from mlxhub.core.lifecycle import ProcessState
from mlxhub.core.observed import AgentState, PortHolder
from mlxhub.errors import WorkerSilent
from mlxhub.fleet.facts import ModelFacts
from mlxhub.fleet.hub import HubModel
from mlxhub.fleet.observation import look
from mlxhub.protocol.worker import WorkerStatus
from tests.fakes.launchd import FakeLaunchd
from tests.fakes.run_files import run_files_in
from tests.fleet.test_status import WORKER

pytestmark = pytest.mark.anyio

LABEL = "io.mlxhub.worker.alpha"


class CountingLaunchd(FakeLaunchd):
    looks = 0

    def inspect(self, label: str) -> AgentState:
        self.looks += 1
        return super().inspect(label)


class Machine:
    """`answers`: what the worker says, None for silence. `now`: the clock."""

    def __init__(self) -> None:
        self.launchd = CountingLaunchd()
        self.answers: WorkerStatus | None = None
        self.holder: PortHolder | None = None
        self.now = 100.0
        self.facts: ModelFacts | None = None
        config = ModelConfig(name="alpha", model_path="builtin:demo")
        self.model = HubModel(
            config, 47850, LABEL, Path("/x.plist"), "g1", run_files_in(Path("/nowhere"), "alpha")
        )

    async def ask(self) -> WorkerStatus:
        if self.answers is None:
            raise WorkerSilent("alpha", "nothing there.")
        return self.answers

    async def look(self, *, fresh: bool = False) -> ModelFacts:
        self.facts = await look(
            self.model,
            self.facts,
            launchd=self.launchd,
            ask=self.ask,
            holder_of=lambda _: self.holder,
            fresh=fresh,
            clock=lambda: self.now,
        )
        return self.facts

    def run(self) -> None:
        self.launchd.install(LABEL, Path("/x.plist"), "g1")
        self.answers = WORKER.model_copy(update={"pid": self.launchd.jobs[LABEL].pid})


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_launchd_is_asked_once_for_each_pid() -> None:
    machine = Machine()
    machine.run()
    for _ in range(5):
        assert not (await machine.look()).silent
    assert machine.launchd.looks == 1
    machine.launchd.end(LABEL, "exit 1")
    machine.answers = WORKER.model_copy(update={"pid": machine.launchd.jobs[LABEL].pid})
    facts = await machine.look()
    assert machine.launchd.looks == 2
    assert (facts.silent, facts.agent and facts.agent.last_exit) == (False, "exit 1")


async def test_a_stopped_job_is_looked_at_every_ten_seconds_and_when_asked_for() -> None:
    machine = Machine()
    machine.launchd.install(LABEL, Path("/x.plist"), "g1", running=False)
    for machine.now in (100.0, 102.0, 109.0):
        await machine.look()
    assert machine.launchd.looks == 1
    machine.now = 110.0
    await machine.look()
    await machine.look(fresh=True)
    assert machine.launchd.looks == 3


async def test_a_silent_process_keeps_the_facts_of_its_own_pid_only() -> None:
    machine = Machine()
    machine.run()
    await machine.look()
    machine.answers = None
    machine.now = 103.0
    facts = await machine.look()
    assert (facts.silent, facts.worker is not None, facts.answered_at) == (True, True, 100.0)
    machine.launchd.end(LABEL, "exit 1")
    assert (await machine.look()).worker is None


async def test_another_hubs_worker_on_the_port_is_a_stranger() -> None:
    machine = Machine()
    machine.run()
    machine.answers = WORKER.model_copy(update={"pid": 4242})
    machine.holder = PortHolder(4242, "another worker")
    facts = await machine.look()
    assert (facts.silent, facts.worker, facts.holder) == (True, None, PortHolder(4242, "another worker"))


async def test_our_own_silent_process_is_no_stranger() -> None:
    machine = Machine()
    machine.run()
    machine.answers = None
    machine.holder = PortHolder(machine.launchd.jobs[LABEL].pid, "our worker")
    assert (await machine.look()).holder is None


async def test_while_launchd_is_silent_the_definition_tells_who_is_ours() -> None:
    machine = Machine()
    machine.run()
    machine.launchd.silent = {LABEL}
    facts = await machine.look()
    assert (facts.silent, facts.launchd_error is not None) == (False, True)
    machine.answers = WORKER.model_copy(update={"generation": "g0"})
    assert (await machine.look(fresh=True)).silent


async def test_a_launchd_that_fails_is_not_asked_each_time() -> None:
    machine = Machine()
    machine.run()
    machine.launchd.session = False
    for machine.now in (100.0, 102.0, 109.0):
        assert (await machine.look()).launchd_error is not None
    assert machine.launchd.looks == 1
    machine.launchd.session = True
    machine.now = 110.0
    facts = await machine.look()
    assert (facts.launchd_error, facts.silent) == (None, False)


async def test_an_unreadable_launchd_makes_nobody_a_stranger() -> None:
    machine = Machine()
    machine.run()
    machine.launchd.unreadable = {LABEL}
    machine.holder = PortHolder(77, "our worker")
    for machine.now in (100.0, 102.0, 109.0):
        facts = await machine.look()
        assert (facts.silent, facts.holder) == (False, None)
    assert machine.launchd.looks == 1
    machine.answers = None
    facts = await machine.look()
    assert (facts.silent, facts.worker is not None, facts.holder) == (True, True, None)
    machine.answers = WORKER.model_copy(update={"name": "other"})
    assert (await machine.look()).holder == PortHolder(77, "our worker")


async def test_an_older_definition_that_is_installed_is_ours_too(tmp_path: Path) -> None:
    machine = Machine()
    machine.launchd.unreadable = {LABEL}
    machine.launchd.install(LABEL, Path("/x.plist"), "g0")
    machine.model = replace(machine.model, plist=tmp_path / "x.plist")
    machine.model.plist.write_bytes(plistlib.dumps({"ProgramArguments": ["mlxhub", "--generation", "g0"]}))
    machine.answers = WORKER.model_copy(update={"generation": "g0"})
    assert not (await machine.look()).silent


async def test_our_own_worker_that_has_just_started_is_not_accused() -> None:
    machine = Machine()
    machine.launchd.install(LABEL, Path("/x.plist"), "g1", running=False)
    await machine.look()
    machine.launchd.kickstart(LABEL)
    machine.holder = PortHolder(machine.launchd.jobs[LABEL].pid, "our worker, which does not answer yet")
    machine.now = 102.0
    facts = await machine.look()
    assert (facts.silent, facts.holder) == (True, None)
    assert facts.agent is not None
    assert facts.agent.process is ProcessState.RUNNING


async def test_silence_is_counted_from_the_first_look_that_met_it() -> None:
    machine = Machine()
    machine.run()
    assert (await machine.look()).silent_since is None
    machine.answers = None
    for machine.now in (110.0, 115.0):
        assert (await machine.look()).silent_since == 110.0
    machine.answers = WORKER.model_copy(update={"pid": machine.launchd.jobs[LABEL].pid})
    assert (await machine.look()).silent_since is None


async def test_nothing_there_at_all() -> None:
    facts = await Machine().look()
    assert facts.silent
    assert facts.agent is not None
    assert facts.agent.process is ProcessState.NOT_INSTALLED
