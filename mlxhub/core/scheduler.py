"""Who waits, who is granted a model, and what is started, loaded and unloaded for that.

Events in, commands out. Every event that may change something for somebody ends in one look at everything
(look.py, where the decision tree stands). A request for a model that is ready is granted without one. The
worker has the last word: it may refuse, load, unload and end by itself, and then what was decided is decided
anew from what is known by then.
"""

from itertools import count

from mlxhub.core.commands import (
    Command,
    Grant,
    LineFull,
    NoSuchModel,
    Outcome,
    Reject,
    Ticket,
    Work,
)
from mlxhub.core.look import NEVER, Decided, look
from mlxhub.core.rules import Rules
from mlxhub.core.slot import Arrival, Slot, SlotFacts

# Nobody waits: nothing is to be done.
_NOTHING = Decided()


class Scheduler:
    """All times are monotonic and of one clock: that of `now`, of deadlines and of what was observed.

    Whoever owns it carries the commands out in their order, and says how each Start, Load and Unload ended.
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._slots: dict[str, Slot] = {}
        self._slot_of: dict[Ticket, Slot] = {}
        self._waiting = 0
        self._decided = _NOTHING
        self._generations = count(1)
        self._arrivals = count(1)
        self._apply_rules(float("-inf"))

    @property
    def look_at(self) -> float | None:
        """When `on_time` is due unless something else happens before."""
        return None if self._decided.look_at == NEVER else self._decided.look_at

    def on_request(self, ticket: Ticket, model: str, now: float) -> list[Command]:
        slot = self._slots.get(model)
        if slot is None or slot.left_hub_yaml:
            return [Reject(ticket, model, NoSuchModel())]
        decided = self._decided
        if slot.is_ready and model not in decided.draining and now < decided.look_at:
            self._slot_of[ticket] = slot
            slot.grant(ticket, now)
            return [Grant(ticket, model)]
        if len(slot.waiting) >= slot.rules.most_waiting:
            return [Reject(ticket, model, LineFull(len(slot.waiting)))]
        self._slot_of[ticket] = slot
        slot.waiting[ticket] = Arrival(now, next(self._arrivals))
        self._waiting += 1
        return self._look(now)

    def on_cancelled(self, ticket: Ticket, now: float) -> list[Command]:
        """Its client left, whether it still waited or was just granted. Once more changes nothing."""
        return self.on_released(ticket, now)

    def on_released(self, ticket: Ticket, now: float) -> list[Command]:
        """Its exchange is over, however it ended."""
        slot = self._slot_of.pop(ticket, None)
        if slot is None:
            return []
        has_waited = ticket in slot.waiting
        self._waiting -= has_waited
        slot.leave(ticket, now)
        # While others use the model as well nothing changes for anybody.
        return [] if slot.leases and not has_waited else self._look(now)

    def on_finished(self, work: Work, outcome: Outcome, now: float) -> list[Command]:
        """An answer that comes when its command no longer counts is dropped."""
        slot = self._slots.get(work.model)
        if slot is None or slot.under_way != work:
            return []
        slot.end(outcome, now)
        return self._look(now)

    def on_observed(self, model: str, facts: SlotFacts, now: float) -> list[Command]:
        """Dropped where something is under way, or happened since the look began."""
        slot = self._slots.get(model)
        if slot is None:
            return []
        slot.observe(facts)
        return self._look(now)

    def on_config(self, rules: Rules, now: float) -> list[Command]:
        """Whose entry is unchanged keeps everything. Nothing is unloaded because a limit became smaller."""
        self._rules = rules
        self._apply_rules(now)
        return self._look(now)

    def on_time(self, now: float) -> list[Command]:
        return self._look(now)

    def _apply_rules(self, now: float) -> None:
        for name, model in self._rules.models.items():
            slot = self._slots.get(name)
            if slot is None:
                self._slots[name] = Slot(name, model, since=now)
            elif slot.left_hub_yaml:
                slot.come_back(model, now)
            else:
                slot.rules = model
        for name in self._slots.keys() - self._rules.models.keys():
            self._slots[name].left_hub_yaml = True

    def _look(self, now: float) -> list[Command]:
        if len(self._slots) > len(self._rules.models):
            self._forget_those_gone()
        self._decided = _NOTHING
        if self._waiting:
            self._decided = look(self._slots, self._rules, now, self._generations.__next__)
            for command in self._decided.commands:
                self._note(command, now)
        return list(self._decided.commands)

    def _forget_those_gone(self) -> None:
        """They left hub.yaml, and nothing ties anybody to them any more."""
        for name in [name for name, slot in self._slots.items() if slot.left_hub_yaml and slot.is_over]:
            del self._slots[name]

    def _note(self, command: Command, now: float) -> None:
        match command:
            case Grant(ticket, model):
                self._slots[model].grant(ticket, now)
                self._waiting -= 1
            case Reject(ticket, model):
                self._slots[model].leave(ticket, now)
                del self._slot_of[ticket]
                self._waiting -= 1
            case _:
                self._slots[command.model].begin(command, now)
