"""One model as the scheduler knows it: what was seen, what is under way, who waits and who holds leases."""

from collections import deque
from dataclasses import dataclass, replace

from mlxhub.core.commands import Done, Failed, Load, Outcome, Refused, Start, Ticket, Unload, Work
from mlxhub.core.eviction import Newcomer, Resident
from mlxhub.core.lifecycle import ModelState
from mlxhub.core.rules import ModelRules
from mlxhub.errors import MlxhubError

# Of the leases that ended since the last look; more than that between two looks count as other clients'.
_KEPT_RELEASES = 4096


@dataclass(frozen=True, slots=True)
class SlotFacts:
    """What a look that began at `seen_at` (monotonic) saw of a model.

    `in_flight` counts all requests in the worker, whoever sent them. `reserved_bytes`: what it holds of
    memory when it is loaded, or would hold. `load_error`: why its last load failed; for `retry_in_seconds`
    the worker does not try again on a client's behalf.
    """

    seen_at: float
    serving: bool
    memory: ModelState = ModelState.UNLOADED
    in_flight: int = 0
    idle_seconds: float | None = None
    reserved_bytes: int = 0
    load_error: MlxhubError | None = None
    retry_in_seconds: float = 0.0


@dataclass(frozen=True, slots=True, order=True)
class Arrival:
    """Since when a ticket waits. `number` tells apart those of one moment."""

    at: float
    number: int


@dataclass(frozen=True, slots=True)
class KeptFailure:
    """Until `until` nothing is tried again. `at`: when it failed those who waited; None: a look saw it."""

    error: MlxhubError
    until: float
    at: float | None = None


@dataclass(frozen=True, slots=True)
class KeptRefusal:
    """`count`: of loads that the worker refused in a row."""

    error: MlxhubError
    at: float
    count: int


class Slot:
    """While something is under way only its end changes what is known. Nothing older than that undoes it."""

    def __init__(self, name: str, rules: ModelRules, since: float) -> None:
        """`since`: a look that began before saw another one of that name."""
        self.name = name
        self.rules = rules
        self.left_hub_yaml = False
        self.facts: SlotFacts | None = None
        self.under_way: Work | None = None
        self.waiting: dict[Ticket, Arrival] = {}
        self.leases: set[Ticket] = set()
        self.failure: KeptFailure | None = None
        self.refusal: KeptRefusal | None = None
        # A command ended so that nobody can say what is now.
        self.is_uncertain = False
        self._changed_at = since
        self._others = 0
        self._last_used = float("-inf")
        self._last_granted = float("-inf")
        self._released_at: deque[float] = deque(maxlen=_KEPT_RELEASES)

    @property
    def is_known(self) -> bool:
        return self.facts is not None and not self.is_uncertain

    @property
    def is_serving(self) -> bool:
        return self.facts is not None and self.facts.serving

    @property
    def memory(self) -> ModelState:
        """A process that does not serve has nothing in memory."""
        return self.facts.memory if self.facts is not None and self.facts.serving else ModelState.UNLOADED

    @property
    def is_ready(self) -> bool:
        facts = self.facts
        return (
            facts is not None
            and facts.memory is ModelState.READY
            and facts.serving
            and self.under_way is None
            and not self.is_uncertain
        )

    @property
    def is_idle(self) -> bool:
        """Nobody uses what is loaded, as far as is known: neither by a lease nor straight at its port."""
        return self.is_ready and not self.leases and self._others == 0

    @property
    def is_over(self) -> bool:
        """Nothing ties anybody to it any more."""
        return self.under_way is None and not self.waiting and not self.leases

    @property
    def first_arrival(self) -> Arrival:
        """Of the ticket that has waited longest."""
        return next(iter(self.waiting.values()))

    def was_seen_since(self, moment: float) -> bool:
        """Whether what is known is from a look, or an end, since then."""
        return self.is_known and self.facts is not None and self.facts.seen_at >= moment

    def resident(self) -> Resident | None:
        """Its place in memory; None where it has none. What left hub.yaml is on its way out."""
        loads, unloads = isinstance(self.under_way, Load), isinstance(self.under_way, Unload)
        if self.memory is ModelState.UNLOADED and not loads:
            return None
        return Resident(
            name=self.name,
            group=self.rules.group,
            reserved_bytes=0 if self.facts is None else self.facts.reserved_bytes,
            pinned=self.rules.pinned,
            idle=self.is_idle,
            leaving=unloads or self.left_hub_yaml or (self.memory is ModelState.UNLOADING and not loads),
            last_used=self._last_used,
            last_granted=self._last_granted,
        )

    def newcomer(self) -> Newcomer:
        """As who wants a place for its tickets."""
        return Newcomer(
            name=self.name,
            group=self.rules.group,
            needed_bytes=0 if self.facts is None else self.facts.reserved_bytes,
            waiting_since=self.first_arrival.at,
        )

    def come_back(self, rules: ModelRules, now: float) -> None:
        """It had left hub.yaml, and its process with it."""
        self.rules = rules
        self.left_hub_yaml = False
        self.facts = None
        self._changed_at = now

    def grant(self, ticket: Ticket, now: float) -> None:
        self.waiting.pop(ticket, None)
        self.leases.add(ticket)
        self._last_granted = now

    def leave(self, ticket: Ticket, now: float) -> None:
        """The ticket waits no longer, or its lease is over."""
        self.waiting.pop(ticket, None)
        if not self.waiting:
            # Whoever asks next gets attempts of its own.
            self.refusal = None
        if ticket in self.leases:
            self.leases.discard(ticket)
            self._released_at.append(now)
            self._last_used = now

    def begin(self, work: Work, now: float) -> None:
        assert self.under_way is None
        self.under_way = work
        self._changed_at = now

    def observe(self, facts: SlotFacts) -> None:
        if self.under_way is not None or facts.seen_at < self._changed_at:
            return
        if self.facts is not None and facts.seen_at < self.facts.seen_at:
            return
        self.facts = facts
        self.is_uncertain = False
        while self._released_at and self._released_at[0] < facts.seen_at:
            self._released_at.popleft()
        # A lease that existed at any time since the look may be one of those it saw.
        self._others = max(0, facts.in_flight - len(self.leases) - len(self._released_at))
        idle_seconds = 0.0 if facts.in_flight else facts.idle_seconds
        if idle_seconds is not None:
            self._last_used = max(self._last_used, facts.seen_at - idle_seconds)
        if facts.load_error is not None and facts.memory is ModelState.UNLOADED:
            self.failure = KeptFailure(facts.load_error, facts.seen_at + facts.retry_in_seconds)
        elif self.is_ready:
            self.failure = None

    def end(self, outcome: Outcome, now: float) -> None:
        """Of what is under way."""
        work, self.under_way = self.under_way, None
        self._changed_at = now
        match work, outcome:
            case Start(), Done():
                self._know(now, ModelState.UNLOADED)
            case Load(), Done():
                self._know(now, ModelState.READY)
                self._last_used = now
                self.failure = self.refusal = None
            case Unload(), Done():
                self._know(now, ModelState.UNLOADED)
            case Load(), Refused(error, needed_bytes):
                count = 1 if self.refusal is None else self.refusal.count + 1
                self.refusal = KeptRefusal(error, now, count) if self.waiting else None
                self._know(now, ModelState.UNLOADED)
                if needed_bytes and self.facts is not None:
                    self.facts = replace(self.facts, reserved_bytes=needed_bytes)
            case Unload(), Refused():
                # Somebody straight at its port was faster.
                self._others = 1
                self._last_used = now
            case _, Refused(error) | Failed(error):
                self.is_uncertain = True
                if not isinstance(work, Unload):
                    retry_in = outcome.retry_in_seconds if isinstance(outcome, Failed) else 0.0
                    self.failure = KeptFailure(error, now + retry_in, at=now)

    def _know(self, now: float, memory: ModelState) -> None:
        """It was not looked at, and so much is certain: its process serves, and it is this in memory."""
        facts = self.facts or SlotFacts(now, serving=True)
        self.facts = replace(facts, seen_at=now, serving=True, memory=memory, load_error=None)
        self._others = 0
