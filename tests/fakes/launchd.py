"""A launchd in memory: keeps `mlxhub.launchd.contract.Launchd`, its processes are what a test plugs in."""

import itertools
import plistlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from mlxhub.core.agents import generation_of
from mlxhub.core.lifecycle import ProcessState
from mlxhub.core.observed import AgentState
from mlxhub.errors import AgentDisabled, LaunchctlFailed, LaunchctlTimeout, LoadingRefused, NoSession


class Program(Protocol):
    """What an agent starts. Both calls come from the thread that called the Launchd."""

    def start(self, launchd: "FakeLaunchd", label: str, pid: int) -> None:
        """Run as this pid. A program that ends by itself says so with `launchd.end(label, ...)`."""

    def signal(self, launchd: "FakeLaunchd", label: str, name: str) -> None:
        """SIGTERM or SIGKILL came."""


class Obedient:
    """Runs until SIGTERM, then ends with exit 0 as our programs do."""

    def start(self, launchd: "FakeLaunchd", label: str, pid: int) -> None:
        pass

    def signal(self, launchd: "FakeLaunchd", label: str, name: str) -> None:
        launchd.end(label, "exit 0" if name == "SIGTERM" else "signal Killed")


@dataclass
class Job:
    plist: Path
    generation: str | None
    keep_alive: bool
    process: ProcessState = ProcessState.STOPPED
    pid: int | None = None
    runs: int = 0
    last_exit: str | None = None
    pended: bool = False


@dataclass
class FakeLaunchd:
    """`programs` by label, Obedient for the rest.

    `session` off: NoSession everywhere. `silent`: labels whose `inspect` times out. `unreadable`: labels of
    which launchd prints nothing that is understood but that they are loaded. `throttle`: an end that
    KeepAlive answers with a start leaves the job throttled instead (until `release`). `disabled`: labels that
    somebody switched off. `on_demand_only`: KeepAlive's starts are pended. `stale`: labels whose program is
    another than the one launchd knows, until they are loaded anew.
    """

    programs: Mapping[str, Program] = field(default_factory=dict)
    session: bool = True
    silent: set[str] = field(default_factory=set)
    unreadable: set[str] = field(default_factory=set)
    throttle: bool = False
    disabled: set[str] = field(default_factory=set)
    on_demand_only: bool = False
    stale: set[str] = field(default_factory=set)
    jobs: dict[str, Job] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._pids = itertools.count(50_001)
        self._lock = threading.RLock()

    def require_session(self) -> None:
        if not self.session:
            raise NoSession("gui/501", "This is a test without one.")

    def inspect(self, label: str) -> AgentState:
        self.require_session()
        if label in self.silent:
            raise LaunchctlTimeout(f"launchctl print {label}", 30)
        with self._lock:
            job = self.jobs.get(label)
            if job is None:
                return AgentState(label=label, process=ProcessState.NOT_INSTALLED)
            if label in self.unreadable:
                return AgentState(label=label, process=ProcessState.UNKNOWN)
            return AgentState(
                label=label,
                process=job.process,
                pid=job.pid,
                generation=job.generation,
                plist_path=str(job.plist),
                runs=job.runs,
                last_exit=job.last_exit,
                exit_reason="OS_REASON_CODESIGNING" if label in self.stale and job.pid is None else None,
                pended=job.pended,
            )

    def bootstrap(self, plist: Path, label: str, generation: str) -> None:
        self._called("bootstrap", label)
        if label in self.disabled and label not in self.jobs:
            raise AgentDisabled(label)
        if not plist.is_file():
            raise LoadingRefused(f"bootstrap of {label}", 5, "Input/output error")
        with self._lock:
            starts = label not in self.jobs and self._load(plist, label)
            loaded = self.jobs[label].generation
        if starts:
            self._start(label)
        if loaded not in (generation, None):
            raise LaunchctlFailed(f"bootstrap of {label}", 37, f"Generation {loaded} is loaded.")

    def disabled_labels(self) -> frozenset[str]:
        self.require_session()
        return frozenset(self.disabled)

    def bootout(self, label: str) -> None:
        self._called("bootout", label)
        with self._lock:
            job = self.jobs.pop(label, None)
            self.stale.discard(label)
        if job is not None and job.pid is not None:
            self._program(label).signal(self, label, "SIGTERM")

    def kickstart(self, label: str) -> None:
        self._called("kickstart", label)
        with self._lock:
            if label not in self.jobs:
                raise LaunchctlFailed(f"kickstart of {label}", 113, "Could not find service")
            if self.jobs[label].pid is not None:
                return
        self._start(label)

    def kill(self, label: str, signal: str) -> None:
        self._called("kill", label)
        with self._lock:
            running = label in self.jobs and self.jobs[label].pid is not None
        if running:
            self._program(label).signal(self, label, signal)

    def enable(self, label: str) -> None:
        self._called("enable", label)
        self.disabled.discard(label)

    def end(self, label: str, last_exit: str) -> None:
        """The process of this label ended, for instance with "exit 0", "exit 75" or "signal Killed"."""
        with self._lock:
            job = self.jobs.get(label)
            if job is None or job.pid is None:
                return
            job.pid, job.last_exit = None, last_exit
            restart = job.keep_alive and last_exit != "exit 0" and label not in self.stale
            job.pended = restart and self.on_demand_only
            restart = restart and not self.on_demand_only
            job.process = ProcessState.THROTTLED if restart and self.throttle else ProcessState.STOPPED
        if restart and not self.throttle:
            self._start(label)

    def release(self, label: str) -> None:
        """The throttle is over."""
        self._start(label)

    def install(self, label: str, plist: Path, generation: str, *, running: bool = True) -> None:
        """Loaded before the test begins, without a call on record."""
        with self._lock:
            self.jobs[label] = Job(plist=plist, generation=generation, keep_alive=True)
        if running:
            self._start(label)

    def _load(self, plist: Path, label: str) -> bool:
        """Whether it starts by itself."""
        content = plist.read_bytes()
        properties = plistlib.loads(content)
        keep_alive = "KeepAlive" in properties
        self.jobs[label] = Job(plist=plist, generation=generation_of(content), keep_alive=keep_alive)
        return keep_alive or bool(properties.get("RunAtLoad"))

    def _start(self, label: str) -> None:
        with self._lock:
            job = self.jobs[label]
            job.pid = next(self._pids)
            job.runs += 1
            job.pended = False
            job.process = ProcessState.RUNNING
            pid = job.pid
        self._program(label).start(self, label, pid)

    def _program(self, label: str) -> Program:
        return self.programs.get(label, Obedient())

    def _called(self, verb: str, label: str) -> None:
        self.require_session()
        with self._lock:
            self.calls.append((verb, label))
