"""When a process that dies again and again is left down, decided from what its runs left behind."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

# What a program ends with when something outside it, such as a stranger on its port, has to go first.
EXIT_TRY_AGAIN = 75
CONTROLLER = "controller"
DEATHS_TO_PARK = 5
WINDOW_SECONDS = 600.0
SHORT_SECONDS = 120.0
KEEP_RUNS = 20

# A stop that somebody asked for, and a start that could not succeed yet and will by itself.
_TRY_AGAIN = f"exit {EXIT_TRY_AGAIN}"
_DELIBERATE = frozenset({"exit 0", _TRY_AGAIN})
# So is a stop that came before the program could handle the signal.
_NO_DEATHS = _DELIBERATE | {"signal Terminated"}


@dataclass(frozen=True, slots=True)
class Run:
    """One life of a process. Unix times, since a history that survives a reboot has no other clock.

    `ending` as of AgentState.last_exit: `exit 70`, `signal Killed`; None where nobody knows. `reason` is
    what the process itself said. `exact`: it wrote its end down itself; else somebody noticed at `ended_at`
    that it was gone, and it ended before. No `ended_at`: it runs, or nobody has noticed yet. `forgiven`: a
    person asked for a new beginning since.
    """

    pid: int
    started_at: float
    ended_at: float | None = None
    ending: str | None = None
    reason: str | None = None
    exact: bool = False
    forgiven: bool = False

    @property
    def died(self) -> bool:
        return self.ended_at is not None and self.ending not in _NO_DEATHS


@dataclass(frozen=True, slots=True)
class Proceed:
    pass


@dataclass(frozen=True, slots=True)
class Park:
    """`deaths` are those that were too many, the oldest first."""

    deaths: tuple[Run, ...]


def decide(history: Sequence[Run], now: float) -> Proceed | Park:
    """Whether a start may go on, at the Unix time `now`.

    A death that the process could not write down counts at the time it was noticed, at the latest the next
    start: that tells a short run from a long one unless nobody wanted the process back for two minutes, and
    then it is no loop. Times that lie ahead, after a clock was set back, count for nothing.
    """
    deaths = tuple(run for run in history if _is_fresh_death(run, now))
    return Park(deaths) if len(deaths) >= DEATHS_TO_PARK else Proceed()


def begun(history: Sequence[Run], pid: int, now: float) -> tuple[Run, ...]:
    return _last((*history, Run(pid=pid, started_at=now)))


def noticed(
    history: Sequence[Run], now: float, ending: str | None, reason: str | None = None
) -> tuple[Run, ...]:
    """The last run left no end behind and is gone: it died at some time before `now`.

    `reason`: what it was doing. `ending`: what launchd knows of the last end of anything it started. A run
    that ends deliberately writes that down itself, so such an end is that of a start which came to no run,
    and of this one nobody knows.
    """
    if not history or history[-1].ended_at is not None:
        return tuple(history)
    known = None if ending in _DELIBERATE else ending
    return (*history[:-1], replace(history[-1], ended_at=now, ending=known, reason=reason))


def ended(
    history: Sequence[Run], run: Run, now: float, exit_code: int, reason: str | None
) -> tuple[Run, ...]:
    """`run` ends itself. Its begin may be missing, where the history was damaged meanwhile."""
    known = [other for other in history if (other.pid, other.started_at) == (run.pid, run.started_at)]
    others = (other for other in history if other not in known)
    begin = known[0] if known else run
    end = replace(begin, ended_at=now, ending=f"exit {exit_code}", reason=reason, exact=True)
    return _last((*others, end))


def forgiven(history: Sequence[Run]) -> tuple[Run, ...]:
    """A new beginning: no death so far counts any more, nor one that nobody has noticed yet."""
    return tuple(replace(run, forgiven=True) for run in history)


def crash_loop_reason(name: str, park: Park) -> str:
    """One line for a person: what happened, and what to do next."""
    last = park.deaths[-1]
    return (
        f"{title(name)} died {len(park.deaths)} times in {WINDOW_SECONDS / 60:g} minutes "
        f"(last: {describe_end(last)}) and stays down. {what_to_do(name)}"
    )


def predecessor_reason(name: str, pid: int | None, resident_bytes: int | None, seconds: float) -> str:
    """One line for a person, where the process before this one does not go away."""
    held = "" if resident_bytes is None else f" and holds {resident_bytes / 1e9:.1f} GB"
    who = "its last process" if pid is None else f"its last process (pid {pid})"
    end = "End it" if pid is None else f"End it with: kill -9 {pid}"
    return (
        f"{title(name)} does not start: {who} is still there after {seconds:g} s{held}. {end}; "
        f"if it stays even so, restart this machine. Then: {start_command(name)}"
    )


def describe_end(run: Run) -> str:
    """`signal Killed, 3 s after its start`."""
    how = run.ending or "nobody knows how"
    if run.ended_at is None or run.ended_at < run.started_at:
        return how
    most = "" if run.exact else "at most "
    return f"{how}, {most}{run.ended_at - run.started_at:.0f} s after its start"


def misunderstood_reason(name: str, what: str) -> str:
    """One line for a person, where no restart mends what a plist says."""
    return (
        f"{title(name)} does not start: this version of mlxhub does not understand its plist "
        f"({what.rstrip('.')}). Write it anew with: mlxhub install"
    )


def title(name: str) -> str:
    return "The controller" if name == CONTROLLER else f'Model "{name}"'


def what_to_do(name: str) -> str:
    return f"See {logs_command(name)}, then: {start_command(name)}"


def logs_command(name: str) -> str:
    return "mlxhub logs" if name == CONTROLLER else f"mlxhub logs {name}"


def start_command(name: str) -> str:
    return "mlxhub start" if name == CONTROLLER else f"mlxhub start-model {name}"


def _is_fresh_death(run: Run, now: float) -> bool:
    if run.ended_at is None or run.forgiven or not run.died:
        return False
    lived = run.ended_at - run.started_at
    return 0 <= lived < SHORT_SECONDS and 0 <= now - run.ended_at <= WINDOW_SECONDS


def _last(history: tuple[Run, ...]) -> tuple[Run, ...]:
    """Of starts in a row that could not succeed yet only the latest: they must not displace deaths."""
    followers = (*history[1:], None)
    kept = [
        run
        for run, next_run in zip(history, followers, strict=True)
        if next_run is None or not (run.ending == _TRY_AGAIN == next_run.ending)
    ]
    return tuple(kept[-KEEP_RUNS:])
