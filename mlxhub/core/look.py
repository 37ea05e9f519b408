"""One look at all models and all who wait: what is to be done now, and when to look again if nothing happens.

Tickets are served in the order in which they came, model by model. For each model that is waited for:

1. It left hub.yaml: rejected.
2. It is being loaded: its tickets wait for the end, which has a limit of its own, and its place is kept.
3. A start or load failed while it waited, or failed before and is not to be tried again yet: rejected with
   that failure.
4. It is ready: all its tickets are granted, unless it leaves or is drained for somebody who waits longer.
5. Tickets at their deadline are rejected.
6. Something else is under way for it: the others wait for the end, and its place is kept for it.
7. Nothing certain is known of it: its tickets wait for the next observation.
8. `jit: false`: rejected, unless somebody is loading it.
9. Its worker has refused it too often: rejected in the worker's words. After each refusal the tickets wait
   until all others have been observed anew, since the worker must know something that is not known here.
10. Somebody is loading it, or there is room (eviction.py): it is loaded, once its process was started.
11. There will be room when those are gone who are leaving: its process is started meanwhile.
12. Others have to leave: they are unloaded, and its process is started meanwhile.
13. There is no room, but of somebody nothing certain is known: its tickets wait for the next observation.
14. Others can be replaced: tickets that can wait for so long do, the others are rejected with the time when
    to come again. Who is to be replaced now and is busy is drained: who asks for it now waits in line.
15. There is no room: rejected with who has it.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from mlxhub.core.commands import (
    Broken,
    Command,
    Grant,
    GroupFull,
    Load,
    NoMemory,
    NoSuchModel,
    NotOnDemand,
    Reason,
    Reject,
    Start,
    Ticket,
    TimedOut,
    Unload,
)
from mlxhub.core.eviction import Evict, Fits, FitsLater, Replace, Resident, make_room
from mlxhub.core.lifecycle import ModelState
from mlxhub.core.rules import Rules
from mlxhub.core.slot import Slot

# A worker that refuses so many loads in a row knows of something that nobody here can mend.
MOST_REFUSALS = 3
NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Decided:
    """`draining` get no new leases. `look_at`: the next time at which something changes by itself."""

    commands: tuple[Command, ...] = ()
    draining: frozenset[str] = frozenset()
    look_at: float = NEVER


def look(slots: Mapping[str, Slot], rules: Rules, now: float, next_generation: Callable[[], int]) -> Decided:
    """Changes no slot: that is for whoever carries it out."""
    waited_for = [slot for slot in slots.values() if slot.waiting]
    seen = _Look(slots, rules, now, next_generation)
    for slot in sorted(waited_for, key=lambda slot: slot.first_arrival):
        seen.serve(slot)
    return seen.decided()


class _Look:
    """`_places`: who has, or is promised, a place in memory, as it is after what was decided so far."""

    def __init__(
        self, slots: Mapping[str, Slot], rules: Rules, now: float, next_generation: Callable[[], int]
    ) -> None:
        self._slots = slots
        self._rules = rules
        self._now = now
        self._next_generation = next_generation
        self._places = {name: place for name, slot in slots.items() if (place := slot.resident())}
        self._commands: list[Command] = []
        self._draining: set[str] = set()
        self._look_at = NEVER

    def decided(self) -> Decided:
        return Decided(tuple(self._commands), frozenset(self._draining), self._look_at)

    def serve(self, slot: Slot) -> None:
        # 1
        if slot.left_hub_yaml:
            self._reject(slot, slot.waiting, NoSuchModel())
        # 2
        elif not isinstance(slot.under_way, Load):
            # 3
            waiting = self._without_those_failed(slot, list(slot.waiting))
            # 4
            if slot.is_ready and slot.name not in self._draining and not self._places[slot.name].leaving:
                self._grant(slot, waiting)
            # 5
            elif waiting := self._without_those_too_late(slot, waiting):
                self._serve_in_time(slot, waiting)

    def _serve_in_time(self, slot: Slot, waiting: Collection[Ticket]) -> None:
        # 6
        if slot.under_way is not None:
            if isinstance(slot.under_way, Start):
                self._promise_place(slot)
        # 7, and of what is ready it is the turn of another
        elif not slot.is_known or slot.is_ready:
            pass
        # 8
        elif not slot.rules.jit:
            if slot.memory is not ModelState.LOADING:
                self._reject(slot, waiting, NotOnDemand(is_running=slot.is_serving))
        # 9
        elif slot.refusal is not None and slot.refusal.count >= MOST_REFUSALS:
            self._reject(slot, waiting, Broken(slot.refusal.error))
        elif slot.refusal is None or self._others_were_seen_since(slot.refusal.at, slot):
            self._bring_in(slot, waiting)

    def _without_those_too_late(self, slot: Slot, waiting: list[Ticket]) -> list[Ticket]:
        self._reject(slot, [ticket for ticket in waiting if ticket.deadline <= self._now], TimedOut())
        rest = [ticket for ticket in waiting if ticket.deadline > self._now]
        for ticket in rest:
            self._look_again(ticket.deadline)
        return rest

    def _without_those_failed(self, slot: Slot, waiting: list[Ticket]) -> list[Ticket]:
        failure = slot.failure
        if failure is None or slot.under_way is not None:
            return waiting
        if failure.until > self._now:
            self._reject(slot, waiting, Broken(failure.error), failure.until)
            return []
        failed = [
            ticket for ticket in waiting if failure.at is not None and slot.waiting[ticket].at <= failure.at
        ]
        self._reject(slot, failed, Broken(failure.error))
        return [ticket for ticket in waiting if ticket not in failed]

    def _bring_in(self, slot: Slot, waiting: Collection[Ticket]) -> None:
        since = min(slot.waiting[ticket].at for ticket in waiting)
        newcomer = replace(slot.newcomer(), waiting_since=since)
        is_loading = slot.memory is ModelState.LOADING
        room = Fits() if is_loading else make_room(newcomer, [*self._places.values()], self._rules, self._now)
        match room:
            # 10
            case Fits():
                self._load(slot)
            # 11
            case FitsLater():
                self._start_meanwhile(slot)
            # 12
            case Evict(names):
                for name in names:
                    self._unload(name)
                self._start_meanwhile(slot)
            # 13
            case _ if not self._all_are_certain():
                pass
            # 14
            case Replace():
                self._wait_for_turn(slot, waiting, room)
            # 15
            case GroupFull() | NoMemory():
                self._reject(slot, waiting, room)

    def _wait_for_turn(self, slot: Slot, waiting: Collection[Ticket], turn: Replace) -> None:
        self._draining.update(turn.draining)
        if turn.ripe_at > self._now:
            hasty = [ticket for ticket in waiting if ticket.deadline <= turn.ripe_at]
            self._reject(slot, hasty, turn.full, turn.ripe_at)
            self._look_again(turn.ripe_at)

    def _load(self, slot: Slot) -> None:
        self._promise_place(slot)
        work = Load if slot.is_serving else Start
        self._commands.append(work(slot.name, self._next_generation()))

    def _start_meanwhile(self, slot: Slot) -> None:
        self._promise_place(slot)
        if not slot.is_serving:
            self._commands.append(Start(slot.name, self._next_generation()))

    def _unload(self, name: str) -> None:
        self._places[name] = replace(self._places[name], leaving=True, idle=False)
        self._commands.append(Unload(name, self._next_generation()))

    def _promise_place(self, slot: Slot) -> None:
        newcomer = slot.newcomer()
        self._places[slot.name] = Resident(slot.name, newcomer.group, newcomer.needed_bytes)

    def _grant(self, slot: Slot, waiting: Collection[Ticket]) -> None:
        self._commands += [Grant(ticket, slot.name) for ticket in waiting]
        if waiting:
            self._places[slot.name] = replace(self._places[slot.name], idle=False, last_granted=self._now)

    def _reject(
        self, slot: Slot, tickets: Collection[Ticket], reason: Reason, retry_at: float | None = None
    ) -> None:
        retry_after = None if retry_at is None else retry_at - self._now
        self._commands += [Reject(ticket, slot.name, reason, retry_after) for ticket in tickets]

    def _look_again(self, moment: float) -> None:
        self._look_at = min(self._look_at, moment)

    def _all_are_certain(self) -> bool:
        return not any(slot.is_uncertain and not slot.left_hub_yaml for slot in self._slots.values())

    def _others_were_seen_since(self, moment: float, newcomer: Slot) -> bool:
        """What left hub.yaml is observed no more."""
        others = (slot for slot in self._slots.values() if slot is not newcomer and not slot.left_hub_yaml)
        return all(slot.under_way is not None or slot.was_seen_since(moment) for slot in others)
