"""The Scheduler's terms and those of the others: what was seen, how work ended, why there is no place."""

from mlxhub.core.commands import (
    Broken,
    Failed,
    GroupFull,
    LineFull,
    NoMemory,
    NoSuchModel,
    NotOnDemand,
    Outcome,
    Refused,
    Reject,
    TimedOut,
)
from mlxhub.core.lifecycle import ModelState
from mlxhub.core.rules import Rules
from mlxhub.core.slot import SlotFacts
from mlxhub.errors import (
    GroupFull as GroupIsFull,
)
from mlxhub.errors import (
    InsufficientMemory,
    LoadFailed,
    MlxhubError,
    ModelNotRunning,
    NotLoaded,
    UnknownModel,
)
from mlxhub.fleet.facts import ModelFacts
from mlxhub.fleet.hub import Hub
from mlxhub.protocol.errors import RemoteError
from mlxhub.protocol.worker import WorkerStatus
from mlxhub.refusals import QueueFull, QueueTimeout

# What a worker answers that has no room, or is in use: nothing is wrong with it.
_REFUSALS = frozenset({"group_capacity_exceeded", "insufficient_memory", "model_busy"})


def slot_facts(name: str, facts: ModelFacts, began: float) -> SlotFacts | None:
    """Of a look that began then (monotonic). None: it said nothing, and its process is still the same."""
    worker = facts.worker
    if worker is None or (worker.draining and worker.model_status is ModelState.UNLOADED):
        return SlotFacts(began, serving=False)
    if facts.silent:
        return None
    return SlotFacts(
        began,
        serving=True,
        # What drains is on its way out, and nobody is granted it any more.
        memory=ModelState.UNLOADING if worker.draining else worker.model_status,
        in_flight=worker.in_flight,
        idle_seconds=worker.idle_seconds,
        reserved_bytes=worker.reservation.reserved_bytes or worker.reservation.needed_bytes,
        load_error=None if worker.error is None else LoadFailed(name, worker.error),
        retry_in_seconds=worker.load_retry_in_seconds,
    )


def outcome_of(error: MlxhubError, worker: WorkerStatus | None) -> Outcome:
    """Of work that ended so; `worker`: how it was after that, as far as is known."""
    if isinstance(error, RemoteError) and error.body.code in _REFUSALS:
        return Refused(error, 0 if worker is None else worker.reservation.needed_bytes)
    return Failed(error, 0.0 if worker is None else worker.load_retry_in_seconds)


def error_of(reject: Reject, hub: Hub, rules: Rules) -> MlxhubError:
    """For whoever asked."""
    name = reject.model
    match reject.reason:
        case GroupFull(group, loaded):
            most = rules.groups[group].max_loaded
            return GroupIsFull(name, group, most, loaded, reject.retry_after_seconds)
        case NoMemory() as short:
            return _insufficient(name, short, rules.memory_limit_bytes or 0)
        case NotOnDemand(is_running=True):
            return NotLoaded(name)
        case NotOnDemand():
            why = f"hub.yaml says jit: false. Start it with: mlxhub start-model {name}"
            return ModelNotRunning(name, why)
        case Broken(error):
            return error
        case LineFull(waiting):
            return QueueFull(waiting)
        case TimedOut():
            return QueueTimeout(hub.named(name).config.queue_timeout)
        case NoSuchModel():
            return UnknownModel(name, tuple(hub.models))


def _insufficient(name: str, short: NoMemory, limit: int) -> InsufficientMemory:
    alone = "Unload another model first." if short.needed_bytes <= limit else _TOO_LARGE
    return InsufficientMemory(name, short.needed_bytes, limit, dict(short.holders), alone)


_TOO_LARGE = "It does not fit even alone: lower its context_length or max_concurrency, or raise memory_limit."
