"""One job's state machine: it is told what happened and returns what must be done."""

import signal
from dataclasses import dataclass
from enum import StrEnum

from mlxhub.standin.plist import Conditions, Definition, KeepAlive
from mlxhub.standin.variation import Variation

CRASH_SIGNALS = frozenset(
    {
        signal.SIGILL, signal.SIGTRAP, signal.SIGABRT, signal.SIGFPE,
        signal.SIGBUS, signal.SIGSEGV, signal.SIGSYS,
    }
)  # fmt: skip
FORGIVEN_CRASHES = 2


class Phase(StrEnum):
    IDLE = "not running"
    SCHEDULED = "spawn scheduled"
    RUNNING = "running"
    TERMINATED = "SIGTERMed"
    KILLED = "SIGKILLed"


class Reason(StrEnum):
    SPECULATIVE = "speculative"
    KEEPALIVE = "inefficient"
    SEMAPHORE = "semaphore"
    KICKSTART = "non-ipc demand"
    SOCKET = "ipc (socket)"


DEMANDS = frozenset({Reason.KICKSTART, Reason.SOCKET})


@dataclass(frozen=True, slots=True)
class End:
    """`status`: the exit code, or minus Linux's number of the signal."""

    status: int
    spawn_error: str = ""  # why the program never ran; on a Mac xpcproxy exits 78 then
    reason: str | None = None  # of a signal that launchd explains


@dataclass(frozen=True, slots=True)
class Spawned:
    pid: int


class Happening(StrEnum):
    LOADED = "bootstrap or login"
    RESTARTED = "kickstart -k"
    TIME_PASSED = "a deadline may have come"
    REMOVED = "bootout or logout"


Event = Happening | Reason | Spawned | End  # a Reason: somebody demands a start


class Action(StrEnum):
    SPAWN = "start the process"
    VANISH = "unload the job"


Effect = Action | signal.Signals  # a signal: send it to the process


@dataclass(frozen=True, slots=True)
class Moment:
    """Monotonic launchd seconds, and whether the domain holds back starts that nobody asked for."""

    now: float
    on_demand_only: bool


@dataclass(slots=True, eq=False)
class Job:
    """A loaded definition. Everybody may read it; only `handle` changes it.

    From its `stale_run` on the program's pinned identity is outdated. Crashes one after the other stretch the
    throttle up to `longest_throttle_seconds`.
    """

    definition: Definition
    variation: Variation
    stale_run: int | None = None
    longest_throttle_seconds: int = 0
    phase: Phase = Phase.IDLE
    pid: int | None = None
    runs: int = 0
    reason: Reason | None = None
    pended: Reason | None = None
    last_start: float | None = None
    last_end: End | None = None
    wakes_at: float | None = None
    leaving: bool = False
    restarting: bool = False
    successive_crashes: int = 0

    @property
    def is_stale(self) -> bool:
        return self.stale_run is not None and self.runs >= self.stale_run

    @property
    def base_throttle_seconds(self) -> int:
        return max(self.definition.throttle_seconds, self.variation.throttle_floor_seconds)

    @property
    def throttle_seconds(self) -> int:
        """Doubled by each crash after those that are forgiven."""
        doublings = max(0, self.successive_crashes - FORGIVEN_CRASHES)
        stretched = min(self.base_throttle_seconds << doublings, self.longest_throttle_seconds)
        return max(self.base_throttle_seconds, stretched)

    def handle(self, event: Event, moment: Moment) -> list[Effect]:
        match event:
            case Happening.LOADED:
                reason = first_reason(self.definition)
                return [] if reason is None else self._start(reason, moment)
            case Reason():
                return self._start(event, moment) if self.phase in {Phase.IDLE, Phase.SCHEDULED} else []
            case Happening.RESTARTED:
                return self._restart(moment)
            case Spawned(pid):
                # Not before the fork, or the next start could come too early by what the fork took.
                self.pid, self.last_start = pid, moment.now
                return []
            case End():
                return self._ended(event, moment)
            case Happening.TIME_PASSED:
                return self._time_passed(moment)
            case Happening.REMOVED:
                return self._remove(moment)

    def _start(self, reason: Reason, moment: Moment) -> list[Effect]:
        if self.leaving:
            return []
        if moment.on_demand_only and reason not in DEMANDS:
            return self._pend(reason)
        self.reason, self.pended = reason, None
        wait = throttle_wait(self.throttle_seconds, self.last_start, moment.now)
        if wait and not (reason is Reason.KICKSTART and self.variation.kickstart_skips_throttle):
            self.phase = Phase.SCHEDULED
            self.wakes_at = moment.now + wait + self.variation.throttle_late_seconds
            return []
        return self._spawn(moment)

    def _pend(self, reason: Reason | None) -> list[Effect]:
        self.phase, self.wakes_at, self.pended = Phase.IDLE, None, reason
        return []

    def _spawn(self, moment: Moment) -> list[Effect]:
        self.phase, self.wakes_at, self.last_start = Phase.RUNNING, None, moment.now
        self.runs += 1
        return [Action.SPAWN]

    def _restart(self, moment: Moment) -> list[Effect]:
        if self.phase in {Phase.IDLE, Phase.SCHEDULED}:
            return self._start(Reason.KICKSTART, moment)
        self.restarting = not self.leaving
        return self._stop(self.variation.kickstart_signal, moment) if self.phase is Phase.RUNNING else []

    def _stop(self, number: signal.Signals, moment: Moment) -> list[Effect]:
        if number is signal.SIGKILL:
            self.phase, self.wakes_at = Phase.KILLED, None
        else:
            limit = self.definition.exit_timeout_seconds
            self.phase, self.wakes_at = Phase.TERMINATED, moment.now + limit if limit else None
        return [number]

    def _ended(self, end: End, moment: Moment) -> list[Effect]:
        self.phase, self.pid, self.wakes_at, self.last_end = Phase.IDLE, None, None, end
        restarting, self.restarting = self.restarting, False
        if self.leaving:
            return [Action.VANISH]
        if restarting:
            return self._start(Reason.KICKSTART, moment)
        self._count_crash(end, moment)
        if end.spawn_error and not self.variation.retries_spawn_failure:
            return []
        keep_alive = self.definition.keep_alive
        if not keepalive_restarts(keep_alive, end):
            return []
        return self._start(_keepalive_reason(keep_alive), moment)

    def _count_crash(self, end: End, moment: Moment) -> None:
        ran_long = self.last_start is not None and moment.now - self.last_start >= self.base_throttle_seconds
        self.successive_crashes = 0 if end.status == 0 or ran_long else self.successive_crashes + 1

    def _time_passed(self, moment: Moment) -> list[Effect]:
        if self.pended and not moment.on_demand_only and self.phase is Phase.IDLE:
            return self._start(self.pended, moment)
        if self.wakes_at is None or self.wakes_at > moment.now:
            return []
        if self.phase is not Phase.SCHEDULED:
            return self._stop(signal.SIGKILL, moment)
        if moment.on_demand_only and self.reason not in DEMANDS:
            return self._pend(self.reason)
        return self._spawn(moment)

    def _remove(self, moment: Moment) -> list[Effect]:
        self.leaving, self.restarting, self.pended = True, False, None
        match self.phase:
            case Phase.IDLE | Phase.SCHEDULED:
                self.phase, self.wakes_at = Phase.IDLE, None
                return [Action.VANISH]
            case Phase.RUNNING:
                return self._stop(signal.SIGTERM, moment)
            case Phase.TERMINATED | Phase.KILLED:
                return []


def first_reason(definition: Definition) -> Reason | None:
    """Why a job starts when it is loaded; a KeepAlive condition implies a first start."""
    if definition.run_at_load:
        return Reason.SPECULATIVE
    wanted = definition.keep_alive not in {False, Conditions()}
    return _keepalive_reason(definition.keep_alive) if wanted else None


def keepalive_restarts(keep_alive: KeepAlive, end: End) -> bool:
    """Conditions are ORed; death by any signal is not a successful exit."""
    if isinstance(keep_alive, bool):
        return keep_alive
    crashed = -end.status in CRASH_SIGNALS
    return keep_alive.successful_exit is (end.status == 0) or keep_alive.crashed is crashed


def throttle_wait(throttle_seconds: int, last_start: float | None, now: float) -> int:
    """Seconds to wait, counted from start to start; elapsed time is cut to whole seconds."""
    return 0 if last_start is None else max(0, throttle_seconds - int(now - last_start))


def _keepalive_reason(keep_alive: KeepAlive) -> Reason:
    return Reason.KEEPALIVE if keep_alive is True else Reason.SEMAPHORE
