"""The scheduler where not all have room: who leaves, who waits for a turn, who is refused and why."""

from dataclasses import replace
from typing import Any

import pytest

from mlxhub.core.commands import (
    Broken,
    Failed,
    Grant,
    GroupFull,
    Load,
    NoMemory,
    NoSuchModel,
    Refused,
    Reject,
    Start,
    Unload,
)
from mlxhub.core.rules import GroupRules, ModelRules, Rules
from mlxhub.errors import ModelBusy, WorkerSilent
from tests.core.scheduled_hub import DOWN, LOADING, READY, REFUSAL, UNLOADED, UNLOADING, Hub, in_group


def test_a_model_that_is_not_there_is_refused() -> None:
    hub = Hub({})
    assert hub.ask("x", 1) == [Reject(hub.ticket(1), "x", NoSuchModel())]


def test_a_full_group_without_a_trigger_refuses_with_who_is_in_memory() -> None:
    hub = Hub({"a": READY, "b": UNLOADED}, **in_group())
    assert hub.ask("b", 1) == [Reject(hub.ticket(1), "b", GroupFull("g", ("a",)))]


def test_a_member_that_was_idle_long_enough_makes_room_and_the_process_starts_meanwhile() -> None:
    hub = Hub({"a": {**READY, "idle_seconds": 60}}, **in_group(trigger=60))
    unload, start = hub.ask("b", 1)
    assert (unload, start) == (Unload("a", 1), Start("b", 2))
    assert hub.finish(start) == [], "the place is not free yet"
    assert hub.finish(unload) == [Load("b", 3)]


def test_who_can_wait_for_the_trigger_does_and_who_cannot_is_told_when_to_come_again() -> None:
    hub = Hub({"a": {**READY, "idle_seconds": 20}, "b": UNLOADED}, **in_group(trigger=60))
    full = GroupFull("g", ("a",))
    assert hub.ask("b", 1, seconds=40) == [Reject(hub.ticket(1, 40), "b", full, 40)]
    assert hub.ask("b", 2, seconds=41) == []
    assert hub.scheduler.look_at == 1040
    assert hub.after(40) == [Unload("a", 1)]


def test_a_use_within_the_trigger_puts_it_off_but_not_beyond_the_turn() -> None:
    hub = Hub({"a": {**READY, "idle_seconds": 20}, "b": UNLOADED}, **in_group(trigger=60))
    hub.ask("b", 1)
    hub.now += 30
    assert hub.ask("a", 2) == [Grant(hub.ticket(2), "a")]
    hub.release(2)
    assert hub.after(10) == [], "it was used 10 s ago"
    assert hub.scheduler.look_at == 1060
    assert hub.after(20) == [Unload("a", 1)]


def test_at_the_turn_a_busy_model_is_drained_and_who_comes_for_it_waits_in_line() -> None:
    hub = Hub({"a": READY, "b": UNLOADED}, **in_group(trigger=60))
    hub.ask("a", 1)
    hub.now += 1
    assert hub.ask("b", 2) == []
    assert hub.ask("a", 3) == [Grant(hub.ticket(3), "a")], "the turn has not come"
    assert hub.after(60) == []
    assert hub.ask("a", 4, seconds=200) == []
    assert hub.release(1) == []
    (unload,) = hub.release(3)
    assert unload == Unload("a", 1)
    (load,) = hub.finish(unload)
    assert load == Load("b", 2)
    assert hub.finish(load) == [Grant(hub.ticket(2), "b")]


def test_models_that_are_asked_for_all_the_time_share_one_place_in_turns() -> None:
    hub = Hub({"a": READY, "b": UNLOADED}, **in_group(trigger=0))
    hub.ask("a", 1)
    hub.ask("b", 2)
    hub.ask("a", 3)
    (unload,) = hub.release(1)
    (load,) = hub.finish(unload)
    assert hub.finish(load) == [Grant(hub.ticket(2), "b")]
    hub.ask("b", 4)
    (unload,) = hub.release(2)
    assert unload == Unload("b", 3)
    (load,) = hub.finish(unload)
    assert hub.finish(load) == [Grant(hub.ticket(3), "a")]


def test_a_turn_comes_also_where_nobody_was_told_the_time() -> None:
    hub = Hub({"a": READY, "b": UNLOADED}, **in_group(trigger=60))
    hub.ask("a", 1)
    hub.ask("b", 2)
    hub.now += 60
    assert hub.ask("a", 3, seconds=200) == []


def test_while_one_is_being_loaded_nobody_else_gets_its_place() -> None:
    hub = Hub({"a": UNLOADED, "b": UNLOADED}, **in_group())
    hub.ask("a", 1)
    assert hub.ask("b", 2) == [Reject(hub.ticket(2), "b", GroupFull("g", ("a",)))]


def test_when_the_waiting_one_leaves_nobody_is_drained_any_more() -> None:
    hub = Hub({"a": READY, "b": UNLOADED}, **in_group(trigger=0))
    hub.ask("a", 1)
    hub.ask("b", 2)
    assert hub.ask("a", 3) == []
    assert hub.cancel(2) == [Grant(hub.ticket(3), "a")]


@pytest.mark.parametrize(
    ("facts", "rules"),
    [
        ({**READY, "in_flight": 1}, {}),
        ({**READY, "idle_seconds": 99}, {"a": ModelRules(pinned=True)}),
        (LOADING, {}),
    ],
    ids=["in flight by others", "pinned", "loading"],
)
def test_who_is_used_pinned_or_loading_is_not_unloaded_for_memory(
    facts: dict[str, Any], rules: dict[str, ModelRules]
) -> None:
    hub = Hub(
        {"a": {**facts, "reserved_bytes": 60}, "b": {**UNLOADED, "reserved_bytes": 50}}, rules, limit=100
    )
    assert hub.ask("b", 1) == [Reject(hub.ticket(1), "b", NoMemory(50, 40, (("a", 60),)))]


def test_a_lease_keeps_a_model_in_memory_and_its_end_lets_it_go() -> None:
    hub = Hub({"a": {**READY, "reserved_bytes": 60}, "b": {**UNLOADED, "reserved_bytes": 50}}, limit=100)
    hub.ask("a", 1)
    assert hub.ask("b", 2) == [Reject(hub.ticket(2), "b", NoMemory(50, 40, (("a", 60),)))]
    hub.release(1)
    assert hub.ask("b", 3) == [Unload("a", 1)]


def test_a_request_that_a_look_still_saw_and_that_was_ours_is_no_others() -> None:
    hub = Hub({"a": {**READY, "reserved_bytes": 60}, "b": {**UNLOADED, "reserved_bytes": 50}}, limit=100)
    hub.ask("a", 1)
    hub.now += 2
    hub.release(1)
    hub.see("a", seconds_ago=1, in_flight=1, reserved_bytes=60, **READY)
    assert hub.ask("b", 2) == [Unload("a", 1)]


def test_what_waits_for_a_start_keeps_its_place_from_those_who_came_later() -> None:
    hub = Hub({"a": DOWN, "b": UNLOADED}, **in_group(trigger=60))
    (start,) = hub.ask("a", 1)
    assert hub.ask("b", 2) == []
    assert hub.finish(start) == [Load("a", 2)]


def test_who_unloads_itself_is_waited_for() -> None:
    hub = Hub({"a": UNLOADING, "b": UNLOADED}, **in_group())
    assert hub.ask("b", 1) == []
    assert hub.see("a", **UNLOADED) == [Load("b", 1)]


def test_an_unload_that_came_too_late_is_decided_anew() -> None:
    hub = Hub({"a": {**READY, "idle_seconds": 60}, "b": UNLOADED}, **in_group(trigger=60))
    (unload,) = hub.ask("b", 1)
    assert hub.finish(unload, Refused(ModelBusy("a", 1))) == []
    assert hub.ask("a", 2) == [Grant(hub.ticket(2), "a")]
    assert hub.scheduler.look_at == 1060, "its turn"


def test_an_unload_that_came_too_late_for_memory_is_not_tried_again_on_older_news() -> None:
    hub = Hub({"a": {**READY, "reserved_bytes": 60}, "b": {**UNLOADED, "reserved_bytes": 50}}, limit=100)
    (unload,) = hub.ask("b", 1)
    hub.now += 1
    no_memory = NoMemory(50, 40, (("a", 60),))
    assert hub.finish(unload, Refused(ModelBusy("a", 1))) == [Reject(hub.ticket(1), "b", no_memory)]
    hub.see("a", seconds_ago=0.5, reserved_bytes=60, **READY)
    assert hub.ask("b", 2) == [Reject(hub.ticket(2), "b", no_memory)]


def test_a_place_is_free_when_its_unload_has_ended_whatever_a_look_saw_before() -> None:
    hub = Hub({"a": {**READY, "idle_seconds": 60}, "b": UNLOADED}, **in_group(trigger=60))
    (unload,) = hub.ask("b", 1)
    hub.now += 1
    assert hub.see("a", **UNLOADED) == []
    assert hub.finish(unload) == [Load("b", 2)]


def test_an_unload_that_failed_keeps_nobody_from_that_model() -> None:
    hub = Hub({"a": {**READY, "reserved_bytes": 60}, "b": {**UNLOADED, "reserved_bytes": 50}}, limit=100)
    (unload,) = hub.ask("b", 1)
    hub.finish(unload, Failed(WorkerSilent("a", "gone"), retry_in_seconds=60))
    hub.see("a", **DOWN)
    assert hub.ask("a", 2, seconds=200)[0] == Start("a", 3)


def test_while_nothing_certain_is_known_of_somebody_nobody_is_refused() -> None:
    hub = Hub({"a": {**READY, "reserved_bytes": 60}, "b": {**UNLOADED, "reserved_bytes": 50}}, limit=100)
    (unload,) = hub.ask("b", 1)
    assert hub.finish(unload, Failed(WorkerSilent("a", "gone"))) == []
    assert hub.see("a", **DOWN) == [Load("b", 2)]


def test_a_load_that_the_worker_refuses_waits_for_what_it_knows_and_we_do_not() -> None:
    hub = Hub({"a": UNLOADED, "b": UNLOADED}, **in_group(trigger=60))
    (load,) = hub.ask("a", 1)
    hub.now += 1
    assert hub.finish(load, Refused(REFUSAL)) == []
    assert hub.see("c", **DOWN) == []
    assert hub.see("b", idle_seconds=60, **READY) == [Unload("b", 2)], "somebody had loaded it at its port"


def test_who_is_refused_again_and_again_is_told_the_workers_reason_and_the_next_may_try() -> None:
    hub = Hub({"a": UNLOADED}, **in_group())
    commands = hub.ask("a", 1)
    for _ in range(2):
        assert commands == [Load("a", commands[0].generation)]  # type: ignore[union-attr]
        hub.now += 1
        assert hub.finish(commands[0], Refused(REFUSAL)) == []
        hub.see("b", **DOWN)
        commands = hub.see("c", **DOWN)
    assert hub.finish(commands[0], Refused(REFUSAL)) == [Reject(hub.ticket(1), "a", Broken(REFUSAL))]
    assert hub.ask("a", 2) == [Load("a", 4)]


def test_a_refusal_that_nobody_waited_for_is_no_attempt_of_who_comes_next() -> None:
    hub = Hub({"a": UNLOADED})
    (load,) = hub.ask("a", 1)
    hub.cancel(1)
    hub.now += 1
    hub.finish(load, Refused(REFUSAL))
    assert hub.ask("a", 2) == [Load("a", 2)]


def test_what_a_model_needs_is_known_once_its_worker_was_refused_for_it() -> None:
    seen = {"a": UNLOADED, "b": {**READY, "reserved_bytes": 30}}
    hub = Hub(seen, limit=100)
    (load,) = hub.ask("a", 1)
    hub.now += 1
    hub.finish(load, Refused(REFUSAL, needed_bytes=80))
    hub.see("c", **DOWN)
    (unload,) = hub.see("b", reserved_bytes=30, **READY)
    assert unload == Unload("b", 2)
    assert hub.finish(unload) == [Load("a", 3)]


def test_who_leaves_while_others_still_have_leases_drains_nobody_any_more() -> None:
    hub = Hub({"a": READY, "b": READY}, **in_group(2, 0, rules={"c": ModelRules()}))
    hub.ask("b", 1)
    hub.ask("a", 2)
    smaller = Rules(hub.rules.models, {"g": GroupRules(1, 0)})
    hub.scheduler.on_config(smaller, hub.now)
    hub.now += 1
    hub.see("b", **UNLOADED)
    assert hub.ask("b", 3) == []
    assert hub.ask("a", 4) == []
    assert hub.cancel(3) == [Grant(hub.ticket(4), "a")]


def test_a_model_that_leaves_hub_yaml_refuses_who_waits_and_keeps_who_has_a_lease() -> None:
    hub = Hub({"a": READY, "b": UNLOADED})
    hub.ask("a", 1)
    (load,) = hub.ask("b", 2)
    commands = hub.scheduler.on_config(Rules({"c": ModelRules()}), hub.now)
    assert commands == [Reject(hub.ticket(2), "b", NoSuchModel())]
    assert hub.release(1) == []
    assert hub.finish(load) == []
    hub.scheduler.on_config(hub.rules, hub.now)
    assert hub.ask("b", 3) == [], "a model that is new again is looked at first"


@pytest.mark.parametrize("more", [in_group(), {"limit": 100}], ids=["group", "memory"])
def test_a_model_that_left_hub_yaml_goes_by_itself_when_its_last_lease_ends(more: dict[str, Any]) -> None:
    hub = Hub({"a": {**READY, "reserved_bytes": 60}, "b": {**UNLOADED, "reserved_bytes": 50}}, **more)
    hub.ask("a", 1)
    left = {name: rules for name, rules in hub.rules.models.items() if name != "a"}
    hub.scheduler.on_config(replace(hub.rules, models=left), hub.now)
    assert hub.ask("b", 2) == []
    assert hub.release(1) == [Load("b", 1)]


def test_a_larger_group_lets_in_who_waits_and_a_smaller_one_unloads_nobody() -> None:
    hub = Hub({"a": READY, "b": UNLOADED}, **in_group(trigger=60))
    hub.ask("a", 1)
    assert hub.ask("b", 2) == []
    larger = Rules(hub.rules.models, {"g": GroupRules(2, 60)})
    (load,) = hub.scheduler.on_config(larger, hub.now)
    assert load == Load("b", 1)
    hub.finish(load)
    assert hub.scheduler.on_config(hub.rules, hub.now) == []
    assert hub.ask("a", 3) == [Grant(hub.ticket(3), "a")]
