"""The user's domain: owns the loaded jobs and does what their state machines ask for."""

import asyncio
import math
import os
import random
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress

from mlxhub.standin import darwin
from mlxhub.standin.job import Action, Effect, End, Event, Happening, Job, Moment, Phase, Reason, Spawned
from mlxhub.standin.overrides import Overrides
from mlxhub.standin.plist import Definition, RefusedError, load_definition
from mlxhub.standin.profile import Profile
from mlxhub.standin.spawn import Child, spawn
from mlxhub.standin.variation import Variation


class Clock:
    """Monotonic time in launchd seconds since the daemon's start, `scale` of them to each real one."""

    def __init__(self, scale: float) -> None:
        self.scale = scale
        self._began = time.monotonic()

    def now(self) -> float:
        return (time.monotonic() - self._began) * self.scale


class Domain:
    """Lives on one event loop; nothing in it blocks."""

    def __init__(
        self, variation: Variation, profile: Profile, overrides: Overrides, clock: Clock,
        log: Callable[[str], None], *, strict: bool,
    ) -> None:  # fmt: skip
        self.uid = os.getuid()
        self.variation = variation
        self.profile = profile
        self.overrides = overrides
        self.jobs: dict[str, Job] = {}
        self.going_down = False
        self.empty = asyncio.Event()  # set at the end of a logout
        self._clock = clock
        self._log = log
        self._strict = strict
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._children: dict[int, tuple[Job, Child]] = {}
        self._sockets: dict[str, list[tuple[str, socket.socket]]] = {}
        self._waiting: dict[str, list[asyncio.Future[int | None]]] = {}
        self._removed_at: dict[str, float] = {}
        self._pinned_anew: set[str] = set()
        self._switched_off = False
        self._random = random.Random(variation.seed)  # noqa: S311 - repeatable on purpose
        if profile.switched_off_after is not None:
            seconds = self._random.uniform(*profile.switched_off_after)
            log(f"will be switched off in Login Items after {seconds:.1f} s")
            self._loop.call_later(seconds / clock.scale, self._switch_off)

    @property
    def on_demand_only(self) -> bool:
        return self._held_until() > self._clock.now()

    def load(self, path: str, *, at_login: bool = False) -> None:
        """What `bootstrap` does with one file. Raises RefusedError, under some profiles after loading it."""
        definition = load_definition(path, self.variation, strict=self._strict, at_login=at_login)
        label, profile = definition.label, self.profile
        self._require_loadable(label)
        can_go_stale = profile.stale_runs and label not in self._pinned_anew
        stale_run = self._random.choice(profile.stale_runs) if can_go_stale else None
        job = Job(definition, self.variation, stale_run, profile.longest_throttle_seconds)
        self.jobs[label], self._sockets[label] = job, self._listen(definition)
        stale = f", stale from run {stale_run} on" if stale_run else ""
        self._log(f"{label}: loaded from {path}{stale}")
        self.tell(job, Happening.LOADED)
        if not at_login and self._random.random() < profile.false_refusals:
            self._log(f"{label}: bootstrap says that it failed")
            raise RefusedError(darwin.EIO, f"{label} is loaded all the same")

    def tell(self, job: Job, event: Event) -> None:
        phase, pended, moment = job.phase, job.pended, Moment(self._clock.now(), self.on_demand_only)
        for effect in job.handle(event, moment):
            self._carry_out(job, effect)
        if job.phase is Phase.SCHEDULED is not phase and job.wakes_at is not None:
            self._log(f"{job.definition.label}: throttled for {job.wakes_at - moment.now:.1f} s")
        if job.pended and not pended:
            self._log(f"{job.definition.label}: start pended until {self._held_until():g} s, {job.pended}")
        self._watch_sockets(job)
        self._set_timer()

    def send(self, job: Job, number: signal.Signals) -> bool:
        """False if there is no process. Only the main process gets the signal, and no timer starts."""
        if job.pid is None:
            return False
        self._log(f"{job.definition.label}: {number.name} to pid {job.pid}")
        os.kill(job.pid, number)  # cannot be another's: the daemon is the parent and has not reaped it
        return True

    def next_spawn(self, job: Job) -> asyncio.Future[int | None]:
        """The pid of the next start, or None if it fails or the job vanishes first."""
        spawned = self._loop.create_future()
        self._waiting.setdefault(job.definition.label, []).append(spawned)
        return spawned

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._clock.scale)

    def log_out(self) -> None:
        if not self.going_down:
            self._log("logging out")
            self.going_down = True
            self._remove_all()
            self._notice_emptiness()

    def reap(self) -> None:
        """Take over every ended child, the jobs' orphans included."""
        with suppress(ChildProcessError):
            while found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                pid, owned = found.si_pid, self._children.pop(found.si_pid, None)
                if owned is not None:
                    # Before the reaping: until then no other process group can have this number.
                    with suppress(ProcessLookupError, PermissionError):
                        os.killpg(pid, self.variation.sweep_signal)
                os.waitpid(pid, 0)
                if owned is None:
                    self._log(f"orphan pid {pid} ended")
                else:
                    status = found.si_status if found.si_code == os.CLD_EXITED else -found.si_status
                    self._take_end(*owned, status)

    def _take_end(self, job: Job, child: Child, status: int) -> None:
        reason = "OS_REASON_CODESIGNING" if job.is_stale and status < 0 else None
        end = End(status, child.spawn_error(), reason)
        how = (
            f"ended by {darwin.signal_text(-status)}" if status < 0 else f"exited {darwin.exit_text(status)}"
        )
        never_ran = f", its program never ran: {end.spawn_error}" if end.spawn_error else ""
        self._log(f"{job.definition.label}: pid {child.pid} {how}{never_ran}")
        self.tell(job, end)

    def _require_loadable(self, label: str) -> None:
        answers, loaded = self.variation, self.jobs.get(label)
        since_removal = self._clock.now() - self._removed_at.get(label, -math.inf)
        for holds, code, state in (
            (self.going_down, darwin.TEARING_DOWN, "not loaded during a logout"),
            (loaded and loaded.leaving, answers.loaded_while_leaving, "leaving"),
            (loaded, answers.loaded_twice, "loaded"),
            (self.overrides.is_disabled(label), answers.loaded_while_disabled, "disabled"),
            (self._switched_off, answers.loaded_while_switched_off, "switched off in Login Items"),
            (since_removal < self.profile.settling_seconds, darwin.EIO, "settling after its bootout"),
        ):
            if holds:
                raise RefusedError(code, f"{label} is {state}")

    def _carry_out(self, job: Job, effect: Effect) -> None:
        match effect:
            case Action.SPAWN:
                self._spawn(job)
            case Action.VANISH:
                self._vanish(job)
            case number:
                self.send(job, number)

    def _spawn(self, job: Job) -> None:
        label = job.definition.label
        listeners = [(name, listener.fileno()) for name, listener in self._sockets[label]]
        if job.is_stale:
            self._pinned_anew.add(label)  # at its next bootstrap
        try:
            child = spawn(job.definition, self.variation, listeners, is_stale=job.is_stale)
        except OSError as error:
            self._log(f"{label}: cannot fork: {error}")
            self.tell(job, End(darwin.SPAWN_FAILED, str(error)))
            self._answer_waiting(label, None)
            return
        self._children[child.pid] = (job, child)
        self._log(f"{label}: pid {child.pid} started, run {job.runs}, {job.reason}")
        self.tell(job, Spawned(child.pid))
        self._answer_waiting(label, child.pid)

    def _vanish(self, job: Job) -> None:
        label = job.definition.label
        del self.jobs[label]
        self._removed_at[label] = self._clock.now()
        for _, listener in self._sockets.pop(label):
            self._loop.remove_reader(listener)
            listener.close()
        self._log(f"{label}: removed")
        self._answer_waiting(label, None)
        self._notice_emptiness()

    def _remove_all(self) -> None:
        for job in list(self.jobs.values()):
            self.tell(job, Happening.REMOVED)

    def _switch_off(self) -> None:
        self._log("switched off in Login Items")
        self._switched_off = True
        self._remove_all()

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
            family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
            try:
                listener = socket.create_server((address.host, address.port), family=family)
                opened.append((address.name, listener))
            except (OSError, ValueError) as error:  # the latter for a name that no host can have
                self._log(f"{definition.label}: socket {address.name} not opened: {error}")
        return opened

    def _watch_sockets(self, job: Job) -> None:
        """A connection starts a job that is not running; a running one accepts by itself."""
        for _, listener in self._sockets.get(job.definition.label, ()):
            if job.phase is Phase.IDLE:
                self._loop.add_reader(listener, self.tell, job, Reason.SOCKET)
            else:
                self._loop.remove_reader(listener)

    def _held_until(self) -> float:
        return self.profile.held_until(self._clock.now(), self.variation.seed)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        times = [job.wakes_at for job in self.jobs.values() if job.wakes_at is not None]
        if any(job.pended for job in self.jobs.values()):
            times.append(self._held_until())
        at = min(times, default=math.inf)
        delay = (at - self._clock.now()) / self._clock.scale
        self._timer = None if at == math.inf else self._loop.call_later(delay, self._wake)

    def _wake(self) -> None:
        for job in list(self.jobs.values()):
            if job.wakes_at is not None or job.pended:
                self.tell(job, Happening.TIME_PASSED)
