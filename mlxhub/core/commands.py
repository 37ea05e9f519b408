"""What the scheduler wants done, how that may end, and why it refuses."""

from dataclasses import dataclass
from typing import TypeAlias

from mlxhub.errors import MlxhubError


@dataclass(frozen=True, slots=True)
class Ticket:
    """One request on its way to a model. At `deadline` (monotonic) it waits no longer."""

    id: int
    deadline: float


@dataclass(frozen=True, slots=True)
class GroupFull:
    """`loaded`: who has the places."""

    group: str
    loaded: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NoMemory:
    """`holders`: who holds how much, the largest first."""

    needed_bytes: int
    free_bytes: int
    holders: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class NotOnDemand:
    """hub.yaml says `jit: false`. `is_running`: only its weights are not in memory."""

    is_running: bool


@dataclass(frozen=True, slots=True)
class Broken:
    """It could not be started or loaded, or its worker refused for good: its own words."""

    error: MlxhubError


@dataclass(frozen=True, slots=True)
class LineFull:
    """As many wait already as may."""

    waiting: int


@dataclass(frozen=True, slots=True)
class TimedOut:
    """Its deadline came before what it waits for."""


@dataclass(frozen=True, slots=True)
class NoSuchModel:
    """Not, or no longer, in hub.yaml."""


Reason: TypeAlias = GroupFull | NoMemory | NotOnDemand | Broken | LineFull | TimedOut | NoSuchModel


@dataclass(frozen=True, slots=True)
class Start:
    """Make its process run. `generation`: of all commands no two have the same."""

    model: str
    generation: int


@dataclass(frozen=True, slots=True)
class Load:
    """Bring it into memory; a load that is under way there already counts."""

    model: str
    generation: int


@dataclass(frozen=True, slots=True)
class Unload:
    """Only if it is idle: whoever is faster than this keeps the model."""

    model: str
    generation: int


@dataclass(frozen=True, slots=True)
class Grant:
    """A lease, until the ticket is released."""

    ticket: Ticket
    model: str


@dataclass(frozen=True, slots=True)
class Reject:
    """`retry_after_seconds` where it is known when it is worth trying again."""

    ticket: Ticket
    model: str
    reason: Reason
    retry_after_seconds: float | None = None


Work: TypeAlias = Start | Load | Unload
Command: TypeAlias = Work | Grant | Reject


@dataclass(frozen=True, slots=True)
class Done:
    """The fact holds."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The worker knows better: there is no room for a load, or it is busy and an unload was to spare it.

    `needed_bytes`: what it would reserve, where that is known.
    """

    error: MlxhubError
    needed_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Failed:
    """It went wrong, and is not to be tried again on a client's behalf for `retry_in_seconds`."""

    error: MlxhubError
    retry_in_seconds: float = 0.0


Outcome: TypeAlias = Done | Refused | Failed
