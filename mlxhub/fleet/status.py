"""From facts to what people are told: pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from mlxhub.core.lifecycle import ModelState, ProcessState
from mlxhub.core.limits import undefined_groups
from mlxhub.errors import LOGIN_ITEMS, PortHeld
from mlxhub.fleet.facts import ModelFacts
from mlxhub.fleet.holdings import Holdings
from mlxhub.fleet.hub import Hub, HubModel
from mlxhub.protocol.hub import (
    ControllerView,
    Counts,
    GroupView,
    HubStatus,
    MemoryHolder,
    MemoryView,
    ModelView,
)
from mlxhub.protocol.worker import WorkerStatus

# A process that has said nothing for this long after its start is more than starting.
SILENT_START_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Clocks:
    """One moment on both clocks: facts carry monotonic times, people read Unix times."""

    monotonic: float
    unix: float

    def unix_time(self, monotonic: float) -> float:
        return round(self.unix - (self.monotonic - monotonic), 3)


def hub_status(
    hub: Hub,
    facts: Mapping[str, ModelFacts],
    controller: ControllerView,
    now: Clocks,
    holdings: Holdings,
) -> HubStatus:
    """A model without facts has not been looked at yet."""
    models = [model_view(model, facts.get(name), now) for name, model in hub.models.items()]
    return HubStatus(
        controller=controller,
        models=models,
        groups=_groups(holdings),
        memory=_memory(holdings),
        warnings=[*_warnings(hub, facts), *undefined_groups(hub.config), *_unknown(holdings)],
        counts=Counts(
            models=len(models),
            running=sum(view.process is ProcessState.RUNNING for view in models),
            loaded=sum(view.memory is ModelState.READY for view in models),
        ),
    )


def _groups(holdings: Holdings) -> list[GroupView]:
    names = [holder.name for holder in holdings.holders]
    return [
        GroupView(name=group.name, max_loaded=group.max_loaded, loaded=holdings.limits.members(group, names))
        for group in holdings.limits.groups
    ]


def _memory(holdings: Holdings) -> MemoryView:
    return MemoryView(
        limit_bytes=holdings.limits.memory_bytes,
        reserved_bytes=sum(holder.reserved_bytes for holder in holdings.holders),
        holders=[
            MemoryHolder(name=holder.name, reserved_bytes=holder.reserved_bytes)
            for holder in holdings.holders
        ],
    )


def _unknown(holdings: Holdings) -> list[str]:
    if holdings.error is None:
        return []
    return [f"What models hold of memory and groups is not known: {holdings.error}"]


def model_view(model: HubModel, facts: ModelFacts | None, now: Clocks) -> ModelView:
    view = ModelView(
        name=model.name,
        aliases=list(model.config.aliases),
        type=model.config.model_type,
        label=model.label,
        port=model.port,
        default=model.config.default,
        process=ProcessState.UNKNOWN,
        memory=None,
        context_length=model.config.context_length,
        trust_remote_code=model.config.trust_remote_code,
    )
    if facts is None:
        return view
    view.process = process_state(facts)
    view.pid = facts.pid
    view.error = _error(model, facts, now)
    if facts.agent is not None:
        view.last_exit = facts.agent.last_exit
        view.restarts = None if facts.agent.runs is None else max(0, facts.agent.runs - 1)
    if facts.worker is not None and facts.answered_at is not None:
        view.type = facts.worker.model_type
        _add_worker(view, facts.worker, facts.answered_at, now)
        view.memory = None if facts.silent else facts.worker.model_status
    return view


def process_state(facts: ModelFacts) -> ProcessState:
    if not facts.silent and facts.worker is not None:
        return ProcessState.STOPPING if facts.worker.draining else ProcessState.RUNNING
    if facts.agent is None or facts.launchd_error is not None:
        return ProcessState.UNKNOWN
    installed = facts.agent.process is not ProcessState.NOT_INSTALLED
    if installed and (facts.holder is not None or _is_parked(facts)):
        return ProcessState.FAILED
    if facts.agent.process is ProcessState.RUNNING and facts.worker is None:
        return ProcessState.STARTING
    return facts.agent.process


def _is_parked(facts: ModelFacts) -> bool:
    """A process that is there may be about to park itself, or be a start that a person asked for."""
    return facts.parked is not None and facts.agent is not None and facts.agent.pid is None


def _add_worker(view: ModelView, worker: WorkerStatus, answered_at: float, now: Clocks) -> None:
    view.memory_bytes = worker.memory.footprint_bytes
    view.context_length = worker.context_length or view.context_length
    view.trust_remote_code = worker.trust_remote_code
    view.in_flight = worker.in_flight
    view.queued = worker.queued
    view.started_at = now.unix_time(answered_at - worker.uptime_seconds)
    if worker.idle_seconds is not None:
        view.last_activity_at = now.unix_time(answered_at - worker.idle_seconds)
    if worker.unload_in_seconds is not None:
        view.unload_at = now.unix_time(answered_at + worker.unload_in_seconds)
    view.facts_age_seconds = round(max(0.0, now.monotonic - answered_at), 3)


def _error(model: HubModel, facts: ModelFacts, now: Clocks) -> str | None:
    """The nearest cause: what keeps it down, a stranger on the port, silence, the worker's last load."""
    if process_state(facts) is ProcessState.FAILED and _is_parked(facts):
        return facts.parked
    if facts.holder is not None:
        return str(PortHeld(model.port, facts.holder.pid, facts.holder.command))
    match process_state(facts):
        case ProcessState.RUNNING if facts.silent:
            return facts.silence
        case ProcessState.STARTING if facts.agent is not None and facts.pid_seen_at is not None:
            waited = now.monotonic - facts.pid_seen_at
            return None if waited < SILENT_START_SECONDS else f"{facts.silence} Its log: {model.log}"
        case ProcessState.THROTTLED | ProcessState.FAILED if facts.agent is not None:
            ended = facts.agent.last_exit or "it is not said how"
            return f"its process ended ({ended}). Its log: {model.log}"
        case ProcessState.NOT_INSTALLED:
            return (
                f"launchd does not have it: it was never installed, or was booted out. {LOGIN_ITEMS} "
                "Then run: mlxhub install"
            )
        case ProcessState.UNKNOWN:
            return facts.launchd_error
    return None if facts.worker is None or facts.silent else facts.worker.error


def _warnings(hub: Hub, facts: Mapping[str, ModelFacts]) -> list[str]:
    warnings = []
    silent = [name for name, seen in facts.items() if seen.launchd_error is not None]
    if silent:
        reason = facts[silent[0]].launchd_error
        warnings.append(f"launchd does not answer, process states are not known for sure: {reason}")
    for name, model in hub.models.items():
        seen = facts.get(name)
        running = None if seen is None or seen.agent is None else seen.agent.generation
        if model.config.trust_remote_code:
            warnings.append(
                f'Model "{name}" may run code that its authors wrote, as you: hub.yaml says '
                "trust_remote_code: true."
            )
        if running is not None and running != model.generation:
            warnings.append(
                f'Model "{name}" runs with an older definition than hub.yaml\'s. Apply it with: mlxhub reload'
            )
    return warnings
