"""The Scheduler's terms and those of the others: what was seen, how work ended, why there is no place."""

from mlxhub.core.commands import (
    Broken,
    Failed,
    GroupFull,
    NoMemory,
    NoSuchModel,
    NotOnDemand,
    Outcome,
    Refused,
    Reject,
    TimedOut,
)
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
from mlxhub.fleet.holdings import Holdings
from mlxhub.fleet.hub import Hub
from mlxhub.protocol.errors import RemoteError
from mlxhub.protocol.worker import WorkerStatus
from mlxhub.refusals import QueueTimeout

# What a worker answers that has no room, or is in use: nothing is wrong with it.
_REFUSALS = frozenset({"group_capacity_exceeded", "insufficient_memory", "load_refused", "model_busy"})


def slot_facts(name: str, facts: ModelFacts, began: float) -> SlotFacts:
    """Of a look that began then (monotonic)."""
    worker = None if facts.silent else facts.worker
    if worker is None or worker.draining:
        return SlotFacts(began, serving=False)
    return SlotFacts(
        began,
        serving=True,
        memory=worker.model_status,
        in_flight=worker.in_flight,
        idle_seconds=worker.idle_seconds,
        reserved_bytes=worker.reservation.reserved_bytes or worker.reservation.needed_bytes,
        load_error=None if worker.error is None else LoadFailed(name, worker.error),
        retry_in_seconds=worker.load_retry_in_seconds,
    )


def outcome_of(error: MlxhubError, worker: WorkerStatus | None, holdings: Holdings) -> Outcome:
    """Of work that ended so; `worker`: how it was after that, as far as is known."""
    if isinstance(error, RemoteError) and error.body.code in _REFUSALS:
        return Refused(error, _short_bytes(error, worker, holdings))
    return Failed(error, 0.0 if worker is None else worker.load_retry_in_seconds)


def _short_bytes(error: RemoteError, worker: WorkerStatus | None, holdings: Holdings) -> int:
    limit = holdings.limits.memory_bytes
    if error.body.code != "insufficient_memory" or worker is None or limit is None:
        return 0
    held = sum(holder.reserved_bytes for holder in holdings.holders if holder.name != worker.name)
    return max(0, worker.reservation.needed_bytes + held - limit)


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
        case TimedOut():
            return QueueTimeout(hub.named(name).config.queue_timeout)
        case NoSuchModel():
            return UnknownModel(name, tuple(hub.models))


def _insufficient(name: str, short: NoMemory, limit: int) -> InsufficientMemory:
    alone = "Unload another model first." if short.needed_bytes <= limit else _TOO_LARGE
    return InsufficientMemory(name, short.needed_bytes, limit, dict(short.holders), alone)


_TOO_LARGE = "It does not fit even alone: lower its context_length or max_concurrency, or raise memory_limit."
