"""The user's domain: owns the loaded jobs and does what their state machines ask for."""

import asyncio
import os
import signal
import socket
import time
from contextlib import suppress
from datetime import UTC, datetime

from mlxhub.standin import darwin, sockets
from mlxhub.standin.job import (
    Action,
    Demanded,
    Effect,
    End,
    Ended,
    Event,
    ExitCode,
    Happening,
    Job,
    Moment,
    Phase,
    Reason,
    Send,
    Signal,
    Spawned,
    SpawnFailed,
)
from mlxhub.standin.overrides import Overrides
from mlxhub.standin.plist import Definition, RefusedError, load_definition
from mlxhub.standin.spawn import spawn
from mlxhub.standin.variation import Variation


class Clock:
    """Monotonic time in launchd seconds, `scale` of them to each real one."""

    def __init__(self, scale: float) -> None:
        self.scale = scale

    def now(self) -> float:
        return time.monotonic() * self.scale


class Journal:
    """One line for each thing that happened; a full disk or a closed pipe loses lines, never the daemon."""

    def write(self, text: str) -> None:
        line = f"{datetime.now(UTC).isoformat(timespec='milliseconds')} {text}\n"
        with suppress(OSError):
            os.write(2, line.encode(errors="backslashreplace"))


class Domain:
    """Lives on one event loop; nothing in it blocks."""

    def __init__(
        self, variation: Variation, overrides: Overrides, clock: Clock, journal: Journal,
        *, strict: bool, login_delay_seconds: float,
    ) -> None:  # fmt: skip
        self.uid = os.getuid()
        self.variation = variation
        self.overrides = overrides
        self.jobs: dict[str, Job] = {}
        self.going_down = False
        self.empty = asyncio.Event()  # set at the end of a logout
        self._clock = clock
        self._journal = journal
        self._strict = strict
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._opens_at = clock.now() + login_delay_seconds
        self._by_pid: dict[int, tuple[Job, int]] = {}
        self._sockets: dict[str, list[tuple[str, socket.socket]]] = {}
        self._waiting: dict[str, list[asyncio.Future[int | None]]] = {}

    @property
    def on_demand_only(self) -> bool:
        return self._clock.now() < self._opens_at

    def load(self, path: str, *, at_login: bool = False) -> None:
        """What `bootstrap` does with one file. Raises RefusedError."""
        if self.going_down:
            raise RefusedError(darwin.TEARING_DOWN, "logging out")
        definition = load_definition(path, self.variation, strict=self._strict, at_login=at_login)
        label = definition.label
        if (loaded := self.jobs.get(label)) is not None:
            if loaded.leaving:
                raise RefusedError(self.variation.loaded_while_leaving, f"{label} is leaving")
            raise RefusedError(self.variation.loaded_twice, f"{label} is loaded")
        if self.overrides.is_disabled(label):
            raise RefusedError(self.variation.loaded_while_disabled, f"{label} is disabled")
        job = self.jobs[label] = Job(definition, self.variation)
        self._journal.write(f"{label}: loaded from {path}")
        self._sockets[label] = self._listen(definition)
        self.tell(job, Happening.LOADED)

    def tell(self, job: Job, event: Event) -> None:
        phase, moment = job.phase, Moment(self._clock.now(), self.on_demand_only)
        for effect in job.handle(event, moment):
            self._carry_out(job, effect)
        if job.phase is Phase.SCHEDULED is not phase and job.wakes_at is not None:
            self._journal.write(f"{job.definition.label}: throttled for {job.wakes_at - moment.now:.1f} s")
        self._watch_sockets(job)
        self._set_timer()

    def send(self, job: Job, number: signal.Signals) -> bool:
        """False if there is no process. Only the main process gets the signal, and no timer starts."""
        if job.pid is None:
            return False
        self._journal.write(f"{job.definition.label}: {number.name} to pid {job.pid}")
        os.kill(job.pid, number)  # cannot be another's: the daemon is the parent and has not reaped it
        return True

    def next_spawn(self, job: Job) -> asyncio.Future[int | None]:
        """The pid of the next start, or None if it fails or the job vanishes first."""
        spawned = self._loop.create_future()
        self._waiting.setdefault(job.definition.label, []).append(spawned)
        return spawned

    def log_out(self) -> None:
        if self.going_down:
            return
        self._journal.write("logging out")
        self.going_down = True
        for job in list(self.jobs.values()):
            self.tell(job, Happening.REMOVED)
        self._notice_emptiness()

    def reap(self) -> None:
        """Take over every ended child, the jobs' orphans included."""
        with suppress(ChildProcessError):
            while found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                job, report_fd = self._by_pid.pop(found.si_pid, (None, -1))
                if job is not None:
                    # Before the reaping: until then no other process group can have this number.
                    self._sweep(found.si_pid)
                os.waitpid(found.si_pid, 0)
                if job is not None:
                    self._take_end(job, found.si_pid, _end_of(found, report_fd))
                else:
                    self._journal.write(f"orphan pid {found.si_pid} ended")

    def _take_end(self, job: Job, pid: int, end: End) -> None:
        match end:
            case ExitCode(code):
                outcome = f"exited {darwin.exit_text(code)}"
            case Signal(number):
                outcome = f"ended by {darwin.signal_text(number)}"
            case SpawnFailed(cause):
                outcome = f"was never started, {darwin.exit_text(darwin.SPAWN_FAILED)}: {cause}"
        self._journal.write(f"{job.definition.label}: pid {pid} {outcome}")
        self.tell(job, Ended(end))

    def _sweep(self, pid: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, self.variation.sweep_signal)

    def _carry_out(self, job: Job, effect: Effect) -> None:
        match effect:
            case Action.SPAWN:
                self._spawn(job)
            case Action.VANISH:
                self._vanish(job)
            case Send(number):
                self.send(job, number)

    def _spawn(self, job: Job) -> None:
        label = job.definition.label
        try:
            passed = [(name, listener.fileno()) for name, listener in self._sockets[label]]
            child = spawn(job.definition, self.variation, passed)
        except OSError as error:
            self._journal.write(f"{label}: cannot fork: {error}")
            self.tell(job, Ended(SpawnFailed(str(error))))
            self._answer_waiting(label, None)
            return
        self._by_pid[child.pid] = (job, child.report_fd)
        self._journal.write(f"{label}: pid {child.pid} started, run {job.runs}, {job.reason}")
        self.tell(job, Spawned(child.pid))
        self._answer_waiting(label, child.pid)

    def _vanish(self, job: Job) -> None:
        label = job.definition.label
        del self.jobs[label]
        for _, listener in self._sockets.pop(label):
            self._loop.remove_reader(listener)
            listener.close()
        self._journal.write(f"{label}: removed")
        self._answer_waiting(label, None)
        self._notice_emptiness()

    def _answer_waiting(self, label: str, pid: int | None) -> None:
        for spawned in self._waiting.pop(label, ()):
            if not spawned.done():
                spawned.set_result(pid)

    def _notice_emptiness(self) -> None:
        if self.going_down and not self.jobs:
            self.empty.set()

    def _listen(self, definition: Definition) -> list[tuple[str, socket.socket]]:
        opened = []
        for address in definition.addresses:
            try:
                opened.append((address.name, sockets.listen(address)))
            except OSError as error:
                self._journal.write(f"{definition.label}: socket {address.name} not opened: {error}")
        return opened

    def _watch_sockets(self, job: Job) -> None:
        """A connection starts a job that is not running; a running one accepts by itself."""
        for _, listener in self._sockets.get(job.definition.label, ()):
            if job.phase is Phase.IDLE:
                self._loop.add_reader(listener, self.tell, job, Demanded(Reason.SOCKET))
            else:
                self._loop.remove_reader(listener)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        times = [job.wakes_at for job in self.jobs.values() if job.wakes_at is not None]
        if any(job.pended for job in self.jobs.values()):
            times.append(self._opens_at)
        delay = (min(times) - self._clock.now()) / self._clock.scale if times else None
        self._timer = None if delay is None else self._loop.call_later(delay, self._wake)

    def _wake(self) -> None:
        for job in list(self.jobs.values()):
            if job.wakes_at is not None or job.pended:
                self.tell(job, Happening.TIME_PASSED)


def _end_of(found: os.waitid_result, report_fd: int) -> End:
    try:
        cause = os.read(report_fd, 512)
    except BlockingIOError:  # killed before its exec, while a child of its own still held the pipe
        cause = b""
    finally:
        os.close(report_fd)
    if found.si_code != os.CLD_EXITED:
        return Signal(found.si_status)
    return SpawnFailed(cause.decode(errors="replace")) if cause else ExitCode(found.si_status)
