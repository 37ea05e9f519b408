"""Looking at a hub: whatever hangs is named within its limit, and hides nothing else."""

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from mlxhub.cli import doctor as command
from mlxhub.cli.main import mlxhub
from mlxhub.core.agents import Runtime, render_hub
from mlxhub.core.config import HubConfig, ModelConfig
from mlxhub.core.observed import AgentState, PortHolder
from mlxhub.core.paths import Paths
from mlxhub.demo import model_directory
from mlxhub.files.machine import Machine, this_machine
from mlxhub.fleet.doctor import agent_files, agents, gather, models, ports
from mlxhub.fleet.doctor.asking import LeavingThreads, begin
from mlxhub.fleet.doctor.found import Found
from mlxhub.fleet.hub import make_hub
from tests.fakes.launchd import FakeLaunchd

LAZY, STUCK = "io.mlxhub.worker.lazy", "io.mlxhub.worker.stuck"


@pytest.fixture
def machine(paths: Paths) -> Machine:
    paths.config.write_text("models: []\n")
    return replace(this_machine(), paths=paths, home=paths.config.parent, is_mac=False)


def _free_ports(*names: str) -> Mapping[str, int]:
    sockets = {name: socket.create_server(("127.0.0.1", 0)) for name in names}
    found = {name: each.getsockname()[1] for name, each in sockets.items()}
    for each in sockets.values():
        each.close()
    return found


def _look(
    machine: Machine, launchd: FakeLaunchd, places: Mapping[str, str], *, trust_remote_code: bool = False
) -> Found:
    """All is installed and loaded, nothing runs. `places`: model_path by name."""
    paths = machine.paths
    config = HubConfig(
        models=tuple(
            ModelConfig(name=name, model_path=path, trust_remote_code=trust_remote_code)
            for name, path in places.items()
        )
    )
    promised = dict(_free_ports(*places))
    rendered = render_hub(config, promised, paths, Runtime("/py", {"HOME": "/home/ann"}, "build"))
    paths.agents.mkdir()
    for agent in rendered.values():
        paths.plist(agent.label).write_bytes(agent.plist)
        launchd.install(agent.label, paths.plist(agent.label), agent.generation, running=False)
    read = gather.HubRead(paths, (), make_hub(config, promised, paths, rendered), rendered, None)
    return gather.gather(machine, read, launchd, ask_controller=lambda: None)


def test_a_note_that_hangs_whoever_reads_it_is_named_and_hides_no_other_agent(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_files, "FILES_SECONDS", 0.5)
    monkeypatch.setattr(gather, "WORKERS_SECONDS", 5.0)
    parked = machine.paths.parked("stuck")
    parked.parent.mkdir(parents=True)
    os.mkfifo(parked)
    found = _look(machine, FakeLaunchd(), {"lazy": "/nowhere", "stuck": "/nowhere"})
    assert {agent.label: agent.unread for agent in found.agents}[LAZY] is None
    assert [finding.text for finding in agents.written(found) if "did not end" in finding.text] == [
        'Model "stuck": reading its plist and its note did not end within 0.5 s.'
    ]
    assert [finding.status for finding in agents.loaded(found)] == ["ok"]


@pytest.fixture
def hanging_port(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Asking who listens there never ends; a test puts the port in."""
    hangs: list[int] = []
    never = threading.Event()

    def holder_of(port: int, host: str = "127.0.0.1") -> PortHolder | None:
        if port in hangs:
            never.wait(60)
        return PortHolder(666, "nc -l")

    monkeypatch.setattr(gather, "port_holder", holder_of)
    yield hangs
    never.set()


def test_one_model_that_hangs_whoever_looks_hides_no_other(
    machine: Machine, hanging_port: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gather, "WORKERS_SECONDS", 2.0)
    chosen = dict(_free_ports("lazy", "stuck"))
    hanging_port.append(chosen["stuck"])
    monkeypatch.setattr(sys.modules[__name__], "_free_ports", lambda *_names: chosen)
    found = _look(machine, FakeLaunchd(), {"lazy": "/nowhere", "stuck": "/nowhere"})
    assert found.answers.faults == ('Looking at model "stuck" did not end within 2 s.',)
    texts = [finding.text for finding in ports.held(found)]
    assert f'Model "lazy": Port {chosen["lazy"]} is held by pid 666 (nc -l).' in texts
    assert "Nobody could look at those of stuck: see launchd.session and agents.answer." in texts


def test_a_cache_that_hangs_whoever_reads_it_is_named(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(gather, "CHECKPOINT_SECONDS", 2.0)
    refs = tmp_path / "cache" / "models--org--stuck" / "refs"
    refs.mkdir(parents=True)
    os.mkfifo(refs / "main")
    cached = replace(machine.runtime, environment={"HF_HUB_CACHE": str(tmp_path / "cache")})
    found = _look(replace(machine, runtime=cached), FakeLaunchd(), {"stuck": "org/stuck", "none": "org/none"})
    assert found.checkpoints["stuck"].fault == "reading it did not end within 2 s"
    assert dict(found.locations) == {"stuck": "org/stuck", "none": "org/none"}
    assert "none" not in found.checkpoints


def test_a_model_that_a_worker_would_refuse_is_named_with_the_reason(
    machine: Machine, tmp_path: Path
) -> None:
    hostile = tmp_path / "hostile"
    shutil.copytree(model_directory(), hostile)
    (hostile / "x.py").touch()
    built_in = {"good": "builtin:demo", "thinks": "builtin:demo-thinking"}
    found = _look(machine, FakeLaunchd(), {"hostile": str(hostile), **built_in})
    assert [(finding.text, finding.fix) for finding in models.files(found)] == [
        (
            f'Model "hostile" cannot be loaded from {hostile}: x.py would be run as code.',
            'Delete it and download models without such (hf download REPO --exclude "*.py"), or say '
            "trust_remote_code: true for this model in hub.yaml if you trust its authors",
        )
    ]


def test_a_model_that_is_trusted_is_not_named(machine: Machine, tmp_path: Path) -> None:
    trusted = tmp_path / "trusted"
    shutil.copytree(model_directory(), trusted)
    (trusted / "x.py").touch()
    found = _look(machine, FakeLaunchd(), {"m": str(trusted)}, trust_remote_code=True)
    assert [finding.status for finding in models.files(found)] == ["ok"]


class _OftenAsked(FakeLaunchd):
    asked = 0

    def disabled_labels(self) -> frozenset[str]:
        self.asked += 1
        return super().disabled_labels()


def test_what_is_switched_off_is_asked_once_for_all(machine: Machine) -> None:
    launchd = _OftenAsked(disabled={LAZY})
    found = _look(machine, launchd, {"lazy": "/nowhere", "other": "/nowhere"})
    assert [agent.label for agent in found.agents if agent.disabled] == [LAZY]
    assert launchd.asked == 1


class _Silent(FakeLaunchd):
    def inspect(self, label: str) -> AgentState:
        threading.Event().wait(3)
        return super().inspect(label)


def test_a_launchd_that_does_not_answer_costs_its_limit(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gather, "LAUNCHD_SECONDS", 0.3)
    found = _look(machine, _Silent(), {"lazy": "/nowhere"})
    assert found.launchd_fault == "launchd does not answer within 0.3 s."


def test_a_hub_yaml_that_hangs_whoever_reads_it_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "READ_SECONDS", 0.5)
    os.mkfifo(tmp_path / "hub.yaml")
    environment = {"MLXHUB_HOME": str(tmp_path), "MLXHUB_CONFIG": None, "MLXHUB_LAUNCHCTL": None}
    done = CliRunner().invoke(mlxhub, ["doctor"], env=environment)
    assert done.exit_code == 1
    assert "did not end within 0.5 s" in done.output


def test_so_many_are_asked_at_once_and_what_they_raise_is_raised() -> None:
    together, most = threading.BoundedSemaphore(2), []

    def ask(number: int) -> int:
        most.append(together.acquire(blocking=False))
        time.sleep(0.01)
        together.release()
        return 10 // number

    assert list(LeavingThreads(2).map(ask, [1, 2, 5, 10])) == [10, 5, 2, 1]
    assert all(most)
    with pytest.raises(ZeroDivisionError):
        begin(lambda: 1 // 0).result(10)


def test_what_hangs_keeps_no_process_from_ending() -> None:
    program = (
        "import asyncio, threading\n"
        "from mlxhub.fleet.doctor.asking import LeavingThreads, begin\n"
        "async def ask():\n"
        "    asyncio.get_running_loop().set_default_executor(LeavingThreads(2))\n"
        "    await asyncio.to_thread(threading.Event().wait)\n"
        "begin(lambda: asyncio.run(ask()))\n"
        "LeavingThreads(2).submit(threading.Event().wait)\n"
        "import time; time.sleep(0.3)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=30, check=False).returncode == 0
