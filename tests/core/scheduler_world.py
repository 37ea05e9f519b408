"""A world of pretend workers around a scheduler, and what a scheduler may never command in it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from mlxhub.core.commands import (
    Command,
    Done,
    Failed,
    Grant,
    Load,
    Outcome,
    Refused,
    Reject,
    Start,
    Ticket,
    Unload,
    Work,
)
from mlxhub.core.lifecycle import ModelState
from mlxhub.core.rules import Rules
from mlxhub.core.scheduler import Scheduler
from mlxhub.core.slot import SlotFacts
from mlxhub.errors import LoadFailed, ModelBusy, WorkerSilent


@dataclass
class PretendWorker:
    """What is really so. `direct`: requests of clients that went straight to its port."""

    reserved_bytes: int
    serving: bool = False
    memory: ModelState = ModelState.UNLOADED
    direct: int = 0
    last_used: float = 0.0


@dataclass
class Knowledge:
    """What whoever gave the scheduler its events knows that it knows of a model."""

    facts: SlotFacts | None = None
    changed_at: float = float("-inf")
    is_certain: bool = False
    under_way: Work | None = None
    released_at: list[float] = field(default_factory=list)


class World:
    """Every event goes through it, and every command is held against what is known and carried out later."""

    def __init__(self, rules: Rules, reserved_bytes: dict[str, int]) -> None:
        self.now = 1000.0
        self.rules = rules
        self.scheduler = Scheduler(rules)
        self.workers = {name: PretendWorker(size) for name, size in reserved_bytes.items()}
        self.known = {name: Knowledge() for name in reserved_bytes}
        # Held by programs that the scheduler does not know of.
        self.elsewhere_bytes = 0
        self.waiting: dict[Ticket, str] = {}
        self.leases: dict[Ticket, str] = {}
        self.answered: dict[Ticket, Grant | Reject] = {}
        self.begun: list[Work] = []
        self.answers: list[tuple[Work, Outcome]] = []
        self.old_answers: list[tuple[Work, Outcome]] = []
        self.looks: list[tuple[str, SlotFacts]] = []
        self._tickets = 0

    def ask(self, model: str, deadline: float) -> Ticket:
        self._tickets += 1
        ticket = Ticket(self._tickets, deadline)
        self.waiting[ticket] = model
        self._take(self.scheduler.on_request(ticket, model, self.now))
        return ticket

    def cancel(self, ticket: Ticket) -> None:
        self._forget(ticket)
        self._take(self.scheduler.on_cancelled(ticket, self.now))

    def release(self, ticket: Ticket) -> None:
        self._forget(ticket)
        self._take(self.scheduler.on_released(ticket, self.now))

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self._take(self.scheduler.on_time(self.now))

    def reload(self, rules: Rules) -> None:
        for name in rules.models.keys() - self.rules.models.keys():
            known = self.known[name]
            known.facts, known.is_certain, known.changed_at = None, False, self.now
        self.rules = rules
        self._take(self.scheduler.on_config(rules, self.now))

    def begin_look(self, model: str) -> None:
        worker = self.workers[model]
        leases = sum(name == model for name in self.leases.values())
        is_busy = worker.serving and worker.memory is not ModelState.UNLOADED and leases + worker.direct > 0
        self.looks.append(
            (
                model,
                SlotFacts(
                    seen_at=self.now,
                    serving=worker.serving,
                    memory=worker.memory,
                    in_flight=leases + worker.direct if worker.serving else 0,
                    idle_seconds=None if is_busy else self.now - worker.last_used,
                    reserved_bytes=worker.reserved_bytes,
                ),
            )
        )

    def end_look(self, look: tuple[str, SlotFacts]) -> None:
        self.looks.remove(look)
        name, facts = look
        known = self.known[name]
        last = known.facts.seen_at if known.facts is not None else float("-inf")
        if known.under_way is None and facts.seen_at >= max(known.changed_at, last):
            known.facts, known.is_certain = facts, True
        self._take(self.scheduler.on_observed(name, facts, self.now))

    def carry_out(self, work: Work, *, well: bool = True) -> None:
        """What the worker does of it, as far as its own locks allow; the answer is still to come."""
        self.begun.remove(work)
        self.answers.append((work, self._outcome(work, well)))

    def answer(self, work: Work, outcome: Outcome) -> None:
        self.answers.remove((work, outcome))
        self.old_answers.append((work, outcome))
        known = self.known[work.model]
        assert known.under_way == work
        known.under_way, known.changed_at = None, self.now
        self._learn(known, work, outcome)
        self._take(self.scheduler.on_finished(work, outcome, self.now))

    def answer_again(self, work: Work, outcome: Outcome) -> None:
        before = repr(vars(self.scheduler._slots[work.model])) if work.model in self.rules.models else ""
        assert self.scheduler.on_finished(work, outcome, self.now) == []
        assert not before or repr(vars(self.scheduler._slots[work.model])) == before

    def can_load(self, model: str) -> Refused | None:
        """What the worker's own locks say: None where they let it in."""
        held = {name: worker for name, worker in self.workers.items() if self._holds_place(name, model)}
        rules = self.rules.models.get(model)
        group = None if rules is None or rules.group is None else self.rules.groups.get(rules.group)
        if group is not None and rules is not None:
            members = [
                name
                for name in held
                if name in self.rules.models and self.rules.models[name].group == rules.group
            ]
            if len(members) >= group.max_loaded:
                return Refused(LoadFailed(model, "no seat"))
        if self.rules.memory_limit_bytes is not None:
            taken = sum(worker.reserved_bytes for worker in held.values()) + self.elsewhere_bytes
            needed = self.workers[model].reserved_bytes
            if needed + taken > self.rules.memory_limit_bytes:
                return Refused(LoadFailed(model, "no memory"), needed)
        return None

    def crash(self, model: str) -> None:
        worker = self.workers[model]
        worker.serving, worker.memory, worker.direct = False, ModelState.UNLOADED, 0

    def _holds_place(self, name: str, newcomer: str) -> bool:
        return name != newcomer and self.workers[name].memory is not ModelState.UNLOADED

    def _outcome(self, work: Work, well: bool) -> Outcome:
        worker = self.workers[work.model]
        silent = Failed(WorkerSilent(work.model, "gone"), 0.0 if well else 5.0)
        if not well:
            self.crash(work.model)
            return silent
        match work:
            case Start():
                worker.serving = True
            case Load():
                if not worker.serving:
                    return silent
                if worker.memory is not ModelState.READY:
                    if refused := self.can_load(work.model):
                        worker.memory = ModelState.UNLOADED
                        return refused
                    worker.memory, worker.last_used = ModelState.READY, self.now
            case Unload():
                if not worker.serving:
                    return silent
                leases = sum(name == work.model for name in self.leases.values())
                if worker.memory is ModelState.LOADING or worker.direct + leases:
                    return Refused(ModelBusy(work.model, worker.direct + leases))
                worker.memory = ModelState.UNLOADED
        return Done()

    def _learn(self, known: Knowledge, work: Work, outcome: Outcome) -> None:
        match work, outcome:
            case _, Done():
                memory = ModelState.READY if isinstance(work, Load) else ModelState.UNLOADED
                reserved = 0 if known.facts is None else known.facts.reserved_bytes
                known.facts = SlotFacts(self.now, True, memory, reserved_bytes=reserved)
                known.is_certain = True
            case Load(), Refused(_, needed):
                reserved = needed or (0 if known.facts is None else known.facts.reserved_bytes)
                known.facts = SlotFacts(self.now, True, ModelState.UNLOADED, reserved_bytes=reserved)
                known.is_certain = True
            case _, Failed():
                known.is_certain = False

    def _forget(self, ticket: Ticket) -> None:
        self.waiting.pop(ticket, None)
        model = self.leases.pop(ticket, None)
        if model is not None:
            self.known[model].released_at.append(self.now)
            self.workers[model].last_used = self.now

    def _take(self, commands: Sequence[Command]) -> None:
        for command in commands:
            match command:
                case Grant(ticket, model):
                    self._check_grant(ticket, model)
                    self.leases[ticket] = model
                    self.answered[ticket] = command
                case Reject(ticket, model):
                    assert self.waiting.pop(ticket) == model
                    self.answered[ticket] = command
                case _:
                    self._check_work(command)
                    self.known[command.model].under_way = command
                    self.known[command.model].changed_at = self.now
                    self.begun.append(command)

    def _check_grant(self, ticket: Ticket, model: str) -> None:
        known = self.known[model]
        assert self.waiting.pop(ticket) == model, "only who waits is granted, and only once"
        assert known.under_way is None
        assert known.is_certain
        assert known.facts is not None
        assert known.facts.serving
        assert known.facts.memory is ModelState.READY

    def _check_work(self, work: Work) -> None:
        known = self.known[work.model]
        assert known.under_way is None, "two commands under way for one model"
        assert known.is_certain
        facts = known.facts
        assert facts is not None
        match work:
            case Start():
                assert not facts.serving
                assert work.model in self.waiting.values(), "started for nobody"
            case Load():
                assert facts.serving
                assert work.model in self.waiting.values(), "loaded for nobody"
                assert self.rules.models[work.model].jit
                if facts.memory is not ModelState.LOADING:
                    self._check_limits(work.model, facts.reserved_bytes)
            case Unload():
                assert facts.serving
                assert facts.memory is ModelState.READY
                assert work.model in self.rules.models, "it leaves anyway"
                assert not self.rules.models[work.model].pinned
                assert work.model not in self.leases.values(), "somebody has a lease on it"
                ours = sum(moment >= facts.seen_at for moment in known.released_at)
                assert facts.in_flight <= ours, "somebody else uses it"

    def _check_limits(self, model: str, needed_bytes: int) -> None:
        held = [name for name in self.known if name != model and self._is_known_to_hold(name)]
        group = self.rules.models[model].group
        if group is not None and group in self.rules.groups:
            members = [name for name in held if self._group_of(name) == group]
            assert len(members) < self.rules.groups[group].max_loaded
        if self.rules.memory_limit_bytes is not None:
            taken = sum(facts.reserved_bytes for name in held if (facts := self.known[name].facts))
            assert taken + needed_bytes <= self.rules.memory_limit_bytes

    def _is_known_to_hold(self, name: str) -> bool:
        known = self.known[name]
        if name not in self.rules.models:
            return False
        if isinstance(known.under_way, Load):
            return True
        facts = known.facts
        return facts is not None and facts.serving and facts.memory is not ModelState.UNLOADED

    def _group_of(self, name: str) -> str | None:
        rules = self.rules.models.get(name)
        return None if rules is None else rules.group
