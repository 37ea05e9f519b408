"""A hub in which processes are killed: what runs of it, as the system, the stand-in and the programs say."""

import contextlib
import json
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import httpx
import psutil

from mlxhub.core.paths import Paths
from mlxhub.files.keys import Which, current_key
from mlxhub.files.machine import Machine
from mlxhub.protocol.hub import HubStatus
from mlxhub.protocol.worker import WorkerStatus
from tests.chaos.exchanges import CONTROLLER
from tests.stories.conftest import LiveHub

SUPERVISOR = "supervisor"
ASK_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Place:
    """`ports`: of each model's worker. `http` waits for ASK_SECONDS."""

    hub: LiveHub
    machine: Machine
    ports: dict[str, int]
    http: httpx.Client

    @property
    def paths(self) -> Paths:
        return self.machine.paths

    @property
    def programs(self) -> tuple[str, ...]:
        """All that launchd runs."""
        return (CONTROLLER, *self.ports)

    def census(self) -> dict[str, frozenset[int]]:
        """The pids of each program there is, the supervisor too; asked of nobody but the system."""
        parents: dict[str, dict[int, int]] = {name: {} for name in (SUPERVISOR, *self.programs)}
        for process in self.hub.processes():
            with contextlib.suppress(psutil.Error):
                name = _program(process.cmdline())
                if name is not None:
                    parents[name][process.pid] = process.ppid()
        # What is about to become another program looks like the one that started it.
        return {
            name: frozenset(pid for pid, parent in found.items() if parent not in found)
            for name, found in parents.items()
        }

    def strays(self) -> list[str]:
        """Processes of this hub that belong to no job which the supervisor knows."""
        listed = subprocess.run(
            [*self.machine.launchctl, "list"],
            env=dict(self.machine.launchctl_environment),
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        pids = (line.split("\t")[0] for line in listed.stdout.splitlines()[1:])
        jobs = {int(pid) for pid in pids if pid != "-"}
        return list(self._strays(jobs))

    def _strays(self, jobs: set[int]) -> Iterator[str]:
        for process in self.hub.processes():
            with contextlib.suppress(psutil.Error):
                family = {process.pid, *(parent.pid for parent in process.parents())}
                if not family & jobs and _program(process.cmdline()) != SUPERVISOR:
                    yield f"{process.pid} {process.cmdline()}"

    def worker(self, name: str) -> WorkerStatus | None:
        """What it says of itself; None where nobody answers."""
        try:
            answer = self._get(f"http://127.0.0.1:{self.ports[name]}/status", "api")
        except httpx.TransportError:
            return None
        return WorkerStatus.model_validate_json(answer.raise_for_status().content)

    def status(self) -> HubStatus | None:
        """What the controller says; None where nobody answers."""
        try:
            answer = self._get(f"{self.hub.url}/hub/status", "admin")
        except httpx.TransportError:
            return None
        return HubStatus.model_validate_json(answer.raise_for_status().content)

    def _get(self, url: str, key: Which) -> httpx.Response:
        headers = {"authorization": f"Bearer {current_key(self.paths.keys, key)}"}
        return self.http.get(url, headers=headers)

    def serving_pid(self, program: str) -> int | None:
        """Of the process that answers as this program."""
        if program == CONTROLLER:
            status = self.status()
            return None if status is None else status.controller.pid
        worker = self.worker(program)
        return None if worker is None else worker.pid


def _program(arguments: Sequence[str]) -> str | None:
    """A model's name, CONTROLLER or SUPERVISOR; None: a process that one of them started."""
    if "mlxhub.standin.daemon" in arguments:
        return SUPERVISOR
    if "--settings" in arguments:
        name: str = json.loads(arguments[arguments.index("--settings") + 1])["name"]
        return name
    return CONTROLLER if CONTROLLER in arguments else None
