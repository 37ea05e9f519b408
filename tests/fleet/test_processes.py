"""Start and stop end in facts: it is our process that answers, or an error that says why not."""

import asyncio
import plistlib
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from mlxhub.core.config import ModelConfig
from mlxhub.core.lifecycle import ModelState, ProcessState
from mlxhub.core.observed import PortHolder
from mlxhub.errors import ModelFailed, ModelNotRunning, PortHeld, WorkerSilent
from mlxhub.files.runs import LAUNCHER_MARK, park, parked_reason
from mlxhub.fleet.hub import HubModel
from mlxhub.fleet.processes import start_process, stop_process
from mlxhub.protocol.worker import BatchStatus, CounterStatus, MemoryStatus, WorkerStatus
from tests.fakes.launchd import FakeLaunchd, Obedient
from tests.fakes.run_files import run_files_in

pytestmark = pytest.mark.anyio

LABEL = "io.mlxhub.worker.alpha"


def status(pid: int) -> WorkerStatus:
    return WorkerStatus(
        name="alpha",
        pid=pid,
        generation="g1",
        model_path="builtin:demo",
        model_type="lm",
        model_status=ModelState.UNLOADED,
        batch=BatchStatus(rows=0, max_rows=8, peak_rows=0),
        memory=MemoryStatus(footprint_bytes=1),
        counters=CounterStatus(),
        uptime_seconds=1,
    )


class Machine:
    """One model under a fake launchd; its worker answers as soon as it has a pid, unless told otherwise."""

    def __init__(self, directory: Path) -> None:
        plist = directory / f"{LABEL}.plist"
        arguments = ["mlxhub", "--generation", "g1"]
        plist.write_bytes(plistlib.dumps({"KeepAlive": True, "ProgramArguments": arguments}))
        self.launchd = FakeLaunchd()
        self.model = HubModel(
            config=ModelConfig(name="alpha", model_path="builtin:demo"),
            port=47850,
            label=LABEL,
            plist=plist,
            generation="g1",
            run_files=run_files_in(directory, "alpha"),
        )
        self.holder: PortHolder | None = None
        self.mute = False

    async def ask(self) -> WorkerStatus:
        job = self.launchd.jobs.get(LABEL)
        if self.holder is not None and self.holder.pid is not None:
            return status(self.holder.pid)
        if job is None or job.pid is None or self.mute:
            raise WorkerSilent("alpha", "nothing there.")
        return status(job.pid)

    async def start(self, seconds: float = 5.0, *, enable: bool = True) -> WorkerStatus:
        return await start_process(
            self.model,
            launchd=self.launchd,
            ask=self.ask,
            holder_of=lambda _: self.holder,
            enable=enable,
            seconds=seconds,
        )

    async def stop(self, seconds: float = 5.0) -> bool:
        return await stop_process(self.model, launchd=self.launchd, seconds=seconds)

    def install(self, *, running: bool = True) -> None:
        self.launchd.install(LABEL, self.model.plist, "g1", running=running)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


async def test_a_running_process_is_left_alone(machine: Machine) -> None:
    machine.install()
    assert (await machine.start()).pid == 50_001
    assert machine.launchd.calls == []


async def test_a_stopped_process_is_kicked(machine: Machine) -> None:
    machine.install(running=False)
    assert (await machine.start()).pid == 50_001
    assert machine.launchd.calls == [("kickstart", LABEL)]


async def test_an_agent_that_is_not_loaded_is_bootstrapped_first(machine: Machine) -> None:
    await machine.start()
    assert [verb for verb, _ in machine.launchd.calls][:2] == ["enable", "bootstrap"]


async def test_only_what_a_person_asked_for_is_enabled(machine: Machine) -> None:
    await machine.start(enable=False)
    assert [verb for verb, _ in machine.launchd.calls] == ["bootstrap", "kickstart"]


async def test_what_is_bootstrapped_is_the_plist_on_disk_whatever_hub_yaml_says_by_now(
    machine: Machine,
) -> None:
    machine.model = replace(machine.model, generation="g2")
    assert (await machine.start()).pid == 50_001
    assert machine.launchd.jobs[LABEL].generation == "g1"


async def test_a_plist_that_is_not_ours_is_not_bootstrapped(machine: Machine) -> None:
    machine.model.plist.write_bytes(b"not a plist")
    with pytest.raises(ModelNotRunning, match="mlxhub install"):
        await machine.start()
    assert machine.launchd.calls == []


async def test_without_a_plist_the_error_says_install(machine: Machine) -> None:
    machine.model.plist.unlink()
    with pytest.raises(ModelNotRunning, match="mlxhub install"):
        await machine.start()


async def test_a_held_port_is_named_before_anything_is_started(machine: Machine) -> None:
    machine.install(running=False)
    machine.holder = PortHolder(99, "python -m http.server")
    with pytest.raises(PortHeld, match=r"pid 99 \(python -m http.server\)"):
        await machine.start()
    assert machine.launchd.calls == []


async def test_a_stranger_that_answers_like_a_worker_is_not_taken_for_ours(machine: Machine) -> None:
    machine.install()
    machine.holder = PortHolder(99, "mlxhub worker of another hub")
    with pytest.raises(PortHeld):
        await machine.start()


async def test_while_launchd_cannot_be_read_our_own_worker_is_left_alone(machine: Machine) -> None:
    machine.install()
    machine.launchd.unreadable = {LABEL}
    machine.holder = PortHolder(50_001, "our worker")
    assert (await machine.start()).pid == 50_001
    assert machine.launchd.calls == []


async def test_while_launchd_cannot_be_read_a_start_ends_with_the_answer(machine: Machine) -> None:
    machine.install(running=False)
    machine.launchd.unreadable = {LABEL}
    assert (await machine.start()).pid == 50_001
    assert machine.launchd.calls == [("kickstart", LABEL)]


async def test_a_process_that_ends_at_its_start_fails_at_once_and_says_how(machine: Machine) -> None:
    class Broken(Obedient):
        def start(self, launchd: FakeLaunchd, label: str, pid: int) -> None:
            launchd.end(label, "exit 2")

    machine.launchd.programs = {LABEL: Broken()}
    machine.launchd.throttle = True
    machine.install(running=False)
    with pytest.raises(ModelNotRunning, match=r"exit 2.*mlxhub logs alpha"):
        await asyncio.wait_for(machine.start(seconds=60), 5)


async def test_a_held_port_is_named_though_launchd_brought_the_process_back_before_anybody_looked(
    machine: Machine,
) -> None:
    async def end_the_first() -> WorkerStatus:
        if machine.launchd.jobs[LABEL].pid == 50_001:
            machine.holder = PortHolder(7, "nc -l 8101")
            machine.launchd.end(LABEL, "exit 1")
        raise WorkerSilent("alpha", "nothing there.")

    machine.install(running=False)
    with pytest.raises(PortHeld, match="nc -l 8101"):
        await start_process(
            machine.model,
            launchd=machine.launchd,
            ask=end_the_first,
            holder_of=lambda _: machine.holder,
            enable=True,
            seconds=5,
        )
    assert machine.launchd.jobs[LABEL].pid == 50_002


async def test_a_throttled_job_that_has_not_run_yet_is_waited_for(machine: Machine) -> None:
    machine.install()
    machine.launchd.throttle = True
    machine.launchd.end(LABEL, "exit 1")
    assert machine.launchd.jobs[LABEL].process is ProcessState.THROTTLED
    assert (await machine.start()).pid == 50_002


async def test_a_process_that_runs_and_says_nothing_is_silent_at_the_deadline(machine: Machine) -> None:
    machine.install()
    machine.mute = True
    with pytest.raises(WorkerSilent, match=r"within 0\.3 s.*mlxhub logs alpha"):
        await machine.start(seconds=0.3)


async def test_stop_ends_the_process_and_leaves_the_job_loaded(machine: Machine) -> None:
    machine.install()
    assert await machine.stop()
    assert machine.launchd.jobs[LABEL].process is ProcessState.STOPPED
    assert machine.launchd.calls == [("kill", LABEL)]


async def test_stop_of_what_stays_down_by_itself_is_nothing(machine: Machine) -> None:
    assert not await machine.stop()
    machine.install()
    machine.launchd.end(LABEL, "exit 0")
    assert not await machine.stop()
    assert machine.launchd.calls == []


@pytest.mark.parametrize("last_exit", [None, "signal Killed"])
async def test_a_lazy_process_that_is_down_is_left_loaded(machine: Machine, last_exit: str | None) -> None:
    lazy = machine.model.config.model_copy(update={"default": False})
    machine.model = replace(machine.model, config=lazy)
    machine.install(running=False)
    machine.launchd.jobs[LABEL].last_exit = last_exit
    assert not await machine.stop()
    assert machine.launchd.calls == []


@pytest.mark.parametrize("last_exit", [None, "signal Killed", "exit 75"])
async def test_what_would_be_brought_back_is_booted_out(machine: Machine, last_exit: str | None) -> None:
    machine.install(running=False)
    machine.launchd.jobs[LABEL].last_exit = last_exit
    assert await machine.stop()
    assert LABEL not in machine.launchd.jobs


async def test_a_process_that_launchd_brings_back_is_booted_out(machine: Machine) -> None:
    class NoHandlerYet(Obedient):
        def signal(self, launchd: FakeLaunchd, label: str, name: str) -> None:
            launchd.end(label, "signal Terminated")

    machine.launchd.programs = {LABEL: NoHandlerYet()}
    machine.install()
    assert await machine.stop()
    assert LABEL not in machine.launchd.jobs


async def test_a_moment_without_a_process_is_not_the_end_of_it(machine: Machine) -> None:
    class BackSoon(Obedient):
        def signal(self, launchd: FakeLaunchd, label: str, name: str) -> None:
            launchd.end(label, "exit 0")
            if label in launchd.jobs:
                threading.Timer(0.2, launchd.release, (label,)).start()

    machine.launchd.programs = {LABEL: BackSoon()}
    machine.install()
    assert await machine.stop()
    assert LABEL not in machine.launchd.jobs


async def test_what_launchd_prints_unreadably_while_it_drains_is_not_its_end(machine: Machine) -> None:
    class Draining(Obedient):
        def signal(self, launchd: FakeLaunchd, label: str, name: str) -> None:
            def end() -> None:
                launchd.end(label, "exit 0")
                launchd.unreadable.clear()

            launchd.unreadable.add(label)
            threading.Timer(0.3, end).start()

    machine.launchd.programs = {LABEL: Draining()}
    machine.install()
    assert await machine.stop()
    assert machine.launchd.jobs[LABEL].last_exit == "exit 0"
    assert machine.launchd.calls == [("kill", LABEL)]


async def test_a_process_that_hangs_is_booted_out_at_the_deadline(machine: Machine) -> None:
    class Deaf(Obedient):
        def signal(self, launchd: FakeLaunchd, label: str, name: str) -> None:
            pass

    machine.launchd.programs = {LABEL: Deaf()}
    machine.install()
    assert await machine.stop(seconds=0.2)
    assert LABEL not in machine.launchd.jobs


async def test_a_throttled_job_is_booted_out_so_that_it_stays_down(machine: Machine) -> None:
    machine.install()
    machine.launchd.throttle = True
    machine.launchd.end(LABEL, "exit 1")
    assert await machine.stop()
    assert LABEL not in machine.launchd.jobs


async def test_what_is_kept_down_is_started_for_a_person_only(machine: Machine) -> None:
    machine.install(running=False)
    park(machine.model.run_files, "It died 5 times.", None)
    with pytest.raises(ModelFailed, match="It died 5 times"):
        await machine.start(enable=False)
    assert machine.launchd.calls == []
    assert (await machine.start(enable=True)).pid == 50_001
    assert parked_reason(machine.model.run_files) is None


async def test_a_note_of_the_launcher_does_not_keep_a_request_from_trying_again(machine: Machine) -> None:
    machine.install(running=False)
    machine.model.run_files.parked.parent.mkdir()
    machine.model.run_files.parked.write_text(f"Python is gone.\n{LAUNCHER_MARK}\n")
    assert (await machine.start(enable=False)).pid == 50_001


async def test_a_process_that_parks_itself_says_why(machine: Machine) -> None:
    class Parking(Obedient):
        def start(self, launchd: FakeLaunchd, label: str, pid: int) -> None:
            park(machine.model.run_files, "Its last process is still there.", None)
            launchd.end(label, "exit 0")

    machine.launchd.programs = {LABEL: Parking()}
    machine.install(running=False)
    with pytest.raises(ModelFailed, match="Its last process is still there"):
        await machine.start()
