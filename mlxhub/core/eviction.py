"""Who has to leave memory so that a model can come: limits and residents in, a choice out.

1. It fits: nobody has to leave.
2. Its group is full. Only members that are not pinned can be replaced, and only where the group has an idle
   trigger. A member is ripe when it has been idle for that long, or when the model has waited for that long,
   which is its turn: then a busy member is ripe too, but has to finish first what it serves.
   a. There are not enough to be replaced: refused.
   b. Not enough are ripe: it is told when they will be, if nobody uses those that are idle now.
   c. Not enough of the ripe are idle: those that shall go are named, to be kept from new requests.
3. Memory is short, also without the members that make room in 2. The least recently used idle models that are
   not pinned have to leave until it fits, however short they have been idle.
   a. Not even all of them are enough: refused, and nobody leaves for nothing.
4. Nobody more than those who leave already has to: it waits for them.
5. Those chosen leave.

What users of llama-swap and Ollama are used to, that a request waits for its turn instead of failing, holds
for groups with a trigger: a small one swaps as soon as the other is idle, a larger one shares out time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from mlxhub.core.commands import GroupFull, NoMemory
from mlxhub.core.rules import GroupRules, Rules


@dataclass(frozen=True, slots=True)
class Resident:
    """A model that has a place in memory, or is promised one.

    `idle`: it is loaded and nobody uses it. `leaving`: its place will be free. `last_used`, `last_granted`:
    when a request of it last ended, and when a ticket for it was last granted.
    """

    name: str
    group: str | None
    reserved_bytes: int
    pinned: bool = False
    idle: bool = False
    leaving: bool = False
    last_used: float = 0.0
    last_granted: float = 0.0


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A model that wants a place. 0 `needed_bytes`: it is not known yet."""

    name: str
    group: str | None
    needed_bytes: int
    waiting_since: float


@dataclass(frozen=True, slots=True)
class Fits:
    pass


@dataclass(frozen=True, slots=True)
class FitsLater:
    """As soon as those are gone who leave already."""


@dataclass(frozen=True, slots=True)
class Evict:
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Replace:
    """At `ripe_at` members can be made to go. That is now where `draining` names them."""

    ripe_at: float
    draining: tuple[str, ...]
    full: GroupFull


Room: TypeAlias = Fits | FitsLater | Evict | Replace | GroupFull | NoMemory


def make_room(newcomer: Newcomer, residents: Sequence[Resident], rules: Rules, now: float) -> Room:
    """`residents` may include the newcomer itself, whose place counts for nothing here."""
    others = [resident for resident in residents if resident.name != newcomer.name]
    staying = [resident for resident in others if not resident.leaving]
    group = None if newcomer.group is None else rules.groups.get(newcomer.group)

    # 1
    if _places_short(newcomer, others, group) <= 0 and _bytes_short(newcomer, others, rules) <= 0:
        return Fits()
    # 2
    members: tuple[Resident, ...] = ()
    if group is not None and (places := _places_short(newcomer, staying, group)) > 0:
        choice = _replaceable(newcomer, staying, group, places, now)
        if isinstance(choice, GroupFull | Replace):
            return choice
        members = choice
    # 3
    rest = [resident for resident in staying if resident not in members]
    freed = _least_recently_used(rest, _bytes_short(newcomer, rest, rules))
    if freed is None:
        return _no_memory(newcomer, others, rules)
    # 4
    if not members and not freed:
        return FitsLater()
    # 5
    return Evict(tuple(resident.name for resident in (*members, *freed)))


def _places_short(newcomer: Newcomer, others: Sequence[Resident], group: GroupRules | None) -> int:
    if group is None:
        return 0
    return sum(other.group == newcomer.group for other in others) + 1 - group.max_loaded


def _bytes_short(newcomer: Newcomer, staying: Sequence[Resident], rules: Rules) -> int:
    if rules.memory_limit_bytes is None:
        return 0
    return newcomer.needed_bytes + _reserved_bytes(staying) - rules.memory_limit_bytes


def _reserved_bytes(residents: Sequence[Resident]) -> int:
    return sum(resident.reserved_bytes for resident in residents)


def _replaceable(
    newcomer: Newcomer, staying: Sequence[Resident], group: GroupRules, places: int, now: float
) -> tuple[Resident, ...] | GroupFull | Replace:
    """As many members as places are short, all of them ripe and idle; else why not."""
    assert newcomer.group is not None
    members = [resident for resident in staying if resident.group == newcomer.group]
    full = GroupFull(newcomer.group, tuple(member.name for member in members))
    trigger = group.idle_trigger_seconds
    candidates = [member for member in members if not member.pinned]
    # 2a
    if trigger is None or len(candidates) < places:
        return full
    turn = newcomer.waiting_since + trigger

    def ripe_at(member: Resident) -> float:
        return max(now, min(turn, member.last_used + trigger) if member.idle else turn)

    def order(member: Resident) -> tuple[float, bool, float]:
        # Of the busy ones the choice must not change with what they finish, or none would ever be drained.
        return ripe_at(member), not member.idle, member.last_used if member.idle else member.last_granted

    chosen = tuple(sorted(candidates, key=order)[:places])
    latest = max(ripe_at(member) for member in chosen)
    # 2b
    if latest > now:
        return Replace(latest, (), full)
    # 2c
    if not all(member.idle for member in chosen):
        return Replace(now, tuple(member.name for member in chosen), full)
    return chosen


def _least_recently_used(staying: Sequence[Resident], short_bytes: int) -> tuple[Resident, ...] | None:
    """Enough of them, and none that could as well stay. None: not even all are enough."""
    chosen: list[Resident] = []
    for resident in sorted(staying, key=lambda resident: resident.last_used):
        if short_bytes <= 0:
            break
        if resident.idle and not resident.pinned and resident.reserved_bytes > 0:
            chosen.append(resident)
            short_bytes -= resident.reserved_bytes
    if short_bytes > 0:
        return None
    for resident in reversed(list(chosen)):
        if short_bytes + resident.reserved_bytes <= 0:
            chosen.remove(resident)
            short_bytes += resident.reserved_bytes
    return tuple(chosen)


def _no_memory(newcomer: Newcomer, others: Sequence[Resident], rules: Rules) -> NoMemory:
    by_size = sorted(others, key=lambda other: -other.reserved_bytes)
    return NoMemory(
        needed_bytes=newcomer.needed_bytes,
        free_bytes=max(0, newcomer.needed_bytes - _bytes_short(newcomer, others, rules)),
        holders=tuple((other.name, other.reserved_bytes) for other in by_size if other.reserved_bytes > 0),
    )
