"""What to do about an agent that launchd should run by itself and does not: pure."""

from enum import StrEnum

from mlxhub.core.lifecycle import TURN_SECONDS, ProcessState
from mlxhub.core.observed import AgentState

# launchd brings back what died within its throttle of 10 s, and starts what a login loads within 30.
DOWN_SECONDS = 15.0
NEVER_RAN_SECONDS = 45.0
# After so long a run a definition that had to be loaded anew counts as sound.
SOUND_SECONDS = 60.0
FIRST_PAUSE_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 300.0
_JITTER = 0.25
FROZEN_SECONDS = 120.0


class Repair(StrEnum):
    """START: demand what launchd holds back. REINSTALL: load the definition anew."""

    START = "start"
    REINSTALL = "reinstall"


def repair_for(
    agent: AgentState, *, down_seconds: float, reinstalled: bool, taken_away: bool = False
) -> Repair | None:
    """`agent` is eager. `reinstalled`: that was tried since it last ran well, and is not tried again.

    `taken_away`: it is not loaded because a repair booted it out and could not load it.
    Who was stopped (exit 0) or booted out stays down: that was somebody's wish. A domain in on-demand-only
    mode starts nothing by itself, neither at login nor after a crash, and does not always say so.
    """
    if agent.pid is not None:
        return None
    if not agent.loaded:
        return Repair.START if taken_away else None
    if agent.broken:
        return None if reinstalled else Repair.REINSTALL
    if agent.pended:
        return Repair.START
    if agent.process is not ProcessState.STOPPED or agent.stopped_on_purpose:
        return None
    patience = NEVER_RAN_SECONDS if agent.last_exit is None else DOWN_SECONDS
    return Repair.START if down_seconds >= patience else None


def pause_seconds(failures: int, draw: float) -> float:
    """Before the next attempt, after so many in a row that did not help.

    `draw`, from 0 to 1, shortens it by up to a quarter: what failed together is not tried again together.
    """
    pause: float = min(FIRST_PAUSE_SECONDS * 2 ** min(failures, 10), LONGEST_PAUSE_SECONDS)
    return pause * (1 - _JITTER * draw)


def is_frozen(silent_seconds: float, *, loading: bool) -> bool:
    """Whether a process that has not answered for so long is beyond hope. A load may hold up all of it."""
    return silent_seconds >= (TURN_SECONDS if loading else FROZEN_SECONDS)
