"""Who has to leave memory: each branch by name, and that nobody ever leaves who must not or need not."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxhub.core.commands import GroupFull, NoMemory
from mlxhub.core.eviction import Evict, Fits, FitsLater, Newcomer, Replace, Resident, make_room
from mlxhub.core.rules import GroupRules, Rules

NOW = 1000.0


def rules(
    max_loaded: int = 1, idle_trigger_seconds: float | None = None, limit_bytes: int | None = None
) -> Rules:
    return Rules(groups={"g": GroupRules(max_loaded, idle_trigger_seconds)}, memory_limit_bytes=limit_bytes)


def newcomer(needed: int = 0, **more: Any) -> Newcomer:
    return Newcomer(**{"name": "new", "group": "g", "needed_bytes": needed, "waiting_since": NOW, **more})


def idle(
    name: str, reserved: int = 0, *, since: float = 0.0, group: str | None = "g", **more: Any
) -> Resident:
    return Resident(name, group, reserved, idle=True, last_used=since, **more)


def busy(name: str, reserved: int = 0, *, granted: float = 0.0, group: str | None = "g") -> Resident:
    return Resident(name, group, reserved, last_granted=granted)


def test_without_a_group_and_with_enough_memory_it_fits() -> None:
    alone = newcomer(10, group=None)
    assert make_room(alone, [busy("a", 10)], rules(limit_bytes=20), NOW) == Fits()
    assert make_room(newcomer(10, group="undefined"), [busy("a", 10)], rules(), NOW) == Fits()


def test_its_own_place_counts_for_nothing() -> None:
    own = Resident("new", "g", 10, leaving=True)
    assert make_room(newcomer(10), [own], rules(limit_bytes=10), NOW) == Fits()


def test_a_full_group_without_a_trigger_is_full_however_idle_its_members_are() -> None:
    assert make_room(newcomer(), [idle("a")], rules(), NOW) == GroupFull("g", ("a",))


def test_a_member_that_is_idle_long_enough_makes_room_and_the_longest_idle_goes_first() -> None:
    residents = [idle("a", since=900), idle("b", since=800), busy("c")]
    assert make_room(newcomer(), residents, rules(3, 100), NOW) == Evict(("b",))


def test_a_member_that_is_not_idle_long_enough_is_waited_for() -> None:
    room = make_room(newcomer(), [idle("a", since=960), idle("b", since=950)], rules(2, 100), NOW)
    assert room == Replace(1050, (), GroupFull("g", ("a", "b")))


def test_its_turn_comes_when_it_has_waited_for_as_long_as_the_trigger() -> None:
    has_waited = newcomer(waiting_since=NOW - 100)
    assert make_room(has_waited, [idle("a", since=990)], rules(1, 100), NOW) == Evict(("a",))
    waits = newcomer(waiting_since=NOW - 60)
    assert make_room(waits, [busy("a")], rules(1, 100), NOW) == Replace(1040, (), GroupFull("g", ("a",)))


def test_at_its_turn_the_busy_member_that_was_granted_least_recently_is_drained() -> None:
    members = [busy("a", granted=30), busy("b", granted=20)]
    room = make_room(newcomer(), members, rules(2, 0), NOW)
    assert room == Replace(NOW, ("b",), GroupFull("g", ("a", "b")))


def test_a_pinned_member_is_never_replaced() -> None:
    pinned = idle("a", pinned=True)
    assert make_room(newcomer(), [pinned], rules(1, 100), NOW) == GroupFull("g", ("a",))


def test_a_group_that_was_made_smaller_needs_more_than_one_place() -> None:
    members = [idle("a", since=1), idle("b", since=2), idle("c", since=3)]
    assert make_room(newcomer(), members, rules(2, 10), NOW) == Evict(("a", "b"))
    assert isinstance(make_room(newcomer(), [*members[:2], busy("c")], rules(1, 1000), NOW), Replace)


def test_memory_is_made_by_the_least_recently_used_however_short_they_have_been_idle() -> None:
    residents = [idle("a", 30, since=999, group=None), idle("b", 30, since=998, group=None)]
    assert make_room(newcomer(50), residents, rules(limit_bytes=100), NOW) == Evict(("b",))


def test_who_need_not_leave_stays_also_where_it_is_the_least_recently_used() -> None:
    residents = [idle("small", 10, since=1, group=None), idle("large", 60, since=2, group=None)]
    assert make_room(newcomer(80), residents, rules(limit_bytes=100), NOW) == Evict(("large",))


def test_nobody_leaves_for_a_model_that_does_not_fit_even_so() -> None:
    residents = [
        idle("a", 20, group=None),
        busy("b", 50, group=None),
        idle("c", 20, pinned=True, group=None),
    ]
    room = make_room(newcomer(40), residents, rules(limit_bytes=100), NOW)
    assert room == NoMemory(40, 10, (("b", 50), ("a", 20), ("c", 20)))


def test_a_place_in_the_group_and_memory_are_made_together_or_not_at_all() -> None:
    member, other = idle("a", 30, since=1), idle("b", 60, group=None)
    assert make_room(newcomer(80), [member, other], rules(1, 10, 100), NOW) == Evict(("a", "b"))
    assert make_room(newcomer(60), [member, other], rules(1, 10, 100), NOW) == Evict(("a", "b"))
    assert make_room(newcomer(40), [member, other], rules(1, 10, 100), NOW) == Evict(("a",))
    assert isinstance(
        make_room(newcomer(80), [member, busy("b", 60, group=None)], rules(1, 10, 100), NOW), NoMemory
    )


def test_who_leaves_already_is_waited_for() -> None:
    leaving = Resident("a", "g", 80, leaving=True)
    assert make_room(newcomer(50), [leaving], rules(limit_bytes=100), NOW) == FitsLater()


RESIDENTS = st.lists(
    st.builds(
        Resident,
        name=st.sampled_from("abcdef"),
        group=st.sampled_from(["g", "h", None]),
        reserved_bytes=st.integers(0, 50),
        pinned=st.booleans(),
        idle=st.booleans(),
        last_used=st.integers(0, 1000).map(float),
        last_granted=st.integers(0, 1000).map(float),
    ),
    unique_by=lambda resident: resident.name,
)


@given(
    RESIDENTS,
    st.integers(0, 120),
    st.integers(1, 4),
    st.none() | st.integers(0, 1500).map(float),
    st.integers(0, 1000).map(float),
)
def test_who_leaves_may_leave_is_needed_and_is_enough(
    residents: list[Resident], needed: int, max_loaded: int, trigger: float | None, since: float
) -> None:
    hub = rules(max_loaded, trigger, 100)
    asking = newcomer(needed, waiting_since=since)
    room = make_room(asking, residents, hub, NOW)
    if not isinstance(room, Evict):
        return
    gone = [resident for resident in residents if resident.name in room.names]
    staying = [resident for resident in residents if resident not in gone]
    assert all(resident.idle and not resident.pinned for resident in gone)
    assert make_room(asking, staying, hub, NOW) == Fits()
    for resident in gone:
        assert make_room(asking, [*staying, resident], hub, NOW) != Fits(), "it need not have left"


@pytest.mark.parametrize("trigger", [None, 0.0, 50.0])
@given(RESIDENTS, st.integers(0, 120), st.integers(1, 4))
def test_memory_is_refused_only_where_all_that_may_leave_are_not_enough(
    trigger: float | None, residents: list[Resident], needed: int, max_loaded: int
) -> None:
    asking = newcomer(needed, group=None)
    if isinstance(make_room(asking, residents, rules(max_loaded, trigger, 100), NOW), NoMemory):
        kept = sum(each.reserved_bytes for each in residents if each.pinned or not each.idle)
        assert kept + needed > 100
