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
class ExitCode:
    code: int


@dataclass(frozen=True, slots=True)
class Signal:
    number: int  # Linux's


@dataclass(frozen=True, slots=True)
class SpawnFailed:
    """The job never ran its program; on a Mac xpcproxy exits 78 for it."""

    cause: str


End = ExitCode | Signal | SpawnFailed


class Happening(StrEnum):
    LOADED = "bootstrap or login"
    RESTARTED = "kickstart -k"
    TIME_PASSED = "a deadline may have come"
    REMOVED = "bootout or logout"


@dataclass(frozen=True, slots=True)
class Demanded:
    reason: Reason


@dataclass(frozen=True, slots=True)
class Spawned:
    pid: int


@dataclass(frozen=True, slots=True)
class Ended:
    end: End


Event = Happening | Demanded | Spawned | Ended


class Action(StrEnum):
    SPAWN = "start the process"
    VANISH = "unload the job"


@dataclass(frozen=True, slots=True)
class Send:
    signal: signal.Signals


Effect = Action | Send


@dataclass(frozen=True, slots=True)
class Moment:
    """Monotonic launchd seconds, and whether the domain holds back starts that nobody asked for."""

    now: float
    on_demand_only: bool


class Job:
    """A loaded definition. Everybody may read it; only `handle` changes it."""

    def __init__(self, definition: Definition, variation: Variation) -> None:
        self.definition = definition
        self.phase = Phase.IDLE
        self.pid: int | None = None
        self.runs = 0
        self.reason: Reason | None = None
        self.pended: Reason | None = None
        self.last_start: float | None = None
        self.last_end: End | None = None
        self.wakes_at: float | None = None
        self.leaving = False
        self._restarting = False
        self._variation = variation

    @property
    def throttle_seconds(self) -> int:
        return max(self.definition.throttle_seconds, self._variation.throttle_floor_seconds)

    def handle(self, event: Event, moment: Moment) -> list[Effect]:
        match event:
            case Happening.LOADED:
                reason = first_reason(self.definition)
                return [] if reason is None else self._start(reason, moment)
            case Demanded(reason):
                return self._start(reason, moment) if self.phase in {Phase.IDLE, Phase.SCHEDULED} else []
            case Happening.RESTARTED:
                return self._restart(moment)
            case Spawned(pid):
                self.pid = pid
                return []
            case Ended(end):
                return self._ended(end, moment)
            case Happening.TIME_PASSED:
                return self._time_passed(moment)
            case Happening.REMOVED:
                return self._remove(moment)

    def _start(self, reason: Reason, moment: Moment) -> list[Effect]:
        if self.leaving:
            return []
        if moment.on_demand_only and reason not in DEMANDS:
            self.pended = reason
            return []
        self.reason, self.pended = reason, None
        wait = throttle_wait(self.throttle_seconds, self.last_start, moment.now)
        if wait and not (reason is Reason.KICKSTART and self._variation.kickstart_skips_throttle):
            self.phase, self.wakes_at = Phase.SCHEDULED, moment.now + wait
            return []
        return self._spawn(moment)

    def _spawn(self, moment: Moment) -> list[Effect]:
        self.phase, self.wakes_at, self.last_start = Phase.RUNNING, None, moment.now
        self.runs += 1
        return [Action.SPAWN]

    def _restart(self, moment: Moment) -> list[Effect]:
        if self.phase in {Phase.IDLE, Phase.SCHEDULED}:
            return self._start(Reason.KICKSTART, moment)
        self._restarting = not self.leaving
        return self._stop(self._variation.kickstart_signal, moment) if self.phase is Phase.RUNNING else []

    def _stop(self, number: signal.Signals, moment: Moment) -> list[Effect]:
        if number is signal.SIGKILL:
            self.phase, self.wakes_at = Phase.KILLED, None
        else:
            limit = self.definition.exit_timeout_seconds
            self.phase, self.wakes_at = Phase.TERMINATED, moment.now + limit if limit else None
        return [Send(number)]

    def _ended(self, end: End, moment: Moment) -> list[Effect]:
        self.phase, self.pid, self.wakes_at, self.last_end = Phase.IDLE, None, None, end
        restarting, self._restarting = self._restarting, False
        if self.leaving:
            return [Action.VANISH]
        if restarting:
            return self._start(Reason.KICKSTART, moment)
        if isinstance(end, SpawnFailed) and not self._variation.retries_spawn_failure:
            return []
        keep_alive = self.definition.keep_alive
        if not keepalive_restarts(keep_alive, end):
            return []
        return self._start(_keepalive_reason(keep_alive), moment)

    def _time_passed(self, moment: Moment) -> list[Effect]:
        if self.pended and not moment.on_demand_only and self.phase is Phase.IDLE:
            return self._start(self.pended, moment)
        if self.wakes_at is None or self.wakes_at > moment.now:
            return []
        if self.phase is not Phase.SCHEDULED:
            return self._stop(signal.SIGKILL, moment)
        if moment.on_demand_only and self.reason not in DEMANDS:
            self.phase, self.wakes_at, self.pended = Phase.IDLE, None, self.reason
            return []
        return self._spawn(moment)

    def _remove(self, moment: Moment) -> list[Effect]:
        self.leaving, self._restarting, self.pended = True, False, None
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
    match definition.keep_alive:
        case False | Conditions(successful_exit=None, crashed=None):
            return None
        case wanted:
            return _keepalive_reason(wanted)


def keepalive_restarts(keep_alive: KeepAlive, end: End) -> bool:
    """Conditions are ORed; death by any signal is not a successful exit."""
    if isinstance(keep_alive, bool):
        return keep_alive
    crashed = isinstance(end, Signal) and end.number in CRASH_SIGNALS
    return keep_alive.successful_exit is (end == ExitCode(0)) or keep_alive.crashed is crashed


def throttle_wait(throttle_seconds: int, last_start: float | None, now: float) -> int:
    """Seconds to wait, counted from start to start; elapsed time is cut to whole seconds."""
    return 0 if last_start is None else max(0, throttle_seconds - int(now - last_start))


def _keepalive_reason(keep_alive: KeepAlive) -> Reason:
    return Reason.KEEPALIVE if keep_alive is True else Reason.SEMAPHORE
