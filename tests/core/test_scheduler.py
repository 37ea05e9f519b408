"""The scheduler, branch by branch: what is commanded, who waits, who is granted, who is refused and why."""

from dataclasses import replace
from typing import Any

import pytest

from mlxhub.core.commands import (
    Broken,
    Command,
    Done,
    Failed,
    Grant,
    GroupFull,
    Load,
    NoMemory,
    NoSuchModel,
    NotOnDemand,
    Refused,
    Reject,
    Start,
    Ticket,
    TimedOut,
    Unload,
)
from mlxhub.core.lifecycle import ModelState
from mlxhub.core.limits import GroupRules, ModelRules, Rules
from mlxhub.core.scheduler import Scheduler
from mlxhub.core.slot import SlotFacts
from mlxhub.errors import LoadFailed, ModelBusy, ModelFailed, WorkerSilent

DOWN, UNLOADED = {"serving": False}, {"serving": True}
LOADING = {"serving": True, "memory": ModelState.LOADING}
READY = {"serving": True, "memory": ModelState.READY}
UNLOADING = {"serving": True, "memory": ModelState.UNLOADING}
REFUSAL = LoadFailed("a", "no seat")


class Hub:
    """A scheduler at a time, with tickets that wait for 100 s, and models `a`, `b` and `c`."""

    def __init__(
        self,
        seen: dict[str, dict[str, Any]],
        rules: dict[str, ModelRules] | None = None,
        groups: dict[str, GroupRules] | None = None,
        limit: int | None = None,
    ) -> None:
        self.now = 1000.0
        models = {name: ModelRules() for name in "abc"} | (rules or {})
        self.rules = Rules(models, groups or {}, limit)
        self.scheduler = Scheduler(self.rules)
        for name in "abc":
            self.see(name, **seen.get(name, DOWN))

    def see(self, name: str, *, seconds_ago: float = 0, **facts: Any) -> list[Command]:
        return self.scheduler.on_observed(name, SlotFacts(self.now - seconds_ago, **facts), self.now)

    def ask(self, name: str, number: int, seconds: float = 100) -> list[Command]:
        return self.scheduler.on_request(self.ticket(number, seconds), name, self.now)

    def ticket(self, number: int, seconds: float = 100) -> Ticket:
        return Ticket(number, 1000 + seconds)

    def release(self, number: int) -> list[Command]:
        return self.scheduler.on_released(self.ticket(number), self.now)

    def cancel(self, number: int) -> list[Command]:
        return self.scheduler.on_cancelled(self.ticket(number), self.now)

    def finish(self, work: Command, outcome: Done | Refused | Failed = Done()) -> list[Command]:  # noqa: B008
        assert isinstance(work, Start | Load | Unload)
        return self.scheduler.on_finished(work, outcome, self.now)

    def after(self, seconds: float) -> list[Command]:
        self.now += seconds
        return self.scheduler.on_time(self.now)


def in_group(max_loaded: int = 1, trigger: float | None = None, **more: Any) -> dict[str, Any]:
    """All three models in one group."""
    rules = {name: ModelRules(group="g") for name in "abc"} | more.pop("rules", {})
    return {"rules": rules, "groups": {"g": GroupRules(max_loaded, trigger)}, **more}


def test_a_ready_model_is_granted_at_once_to_all() -> None:
    hub = Hub({"a": READY})
    assert hub.ask("a", 1) == [Grant(hub.ticket(1), "a")]
    assert hub.ask("a", 2) == [Grant(hub.ticket(2), "a")]


def test_a_model_that_does_not_run_is_started_then_loaded_then_granted() -> None:
    hub = Hub({"a": DOWN})
    (start,) = hub.ask("a", 1)
    assert start == Start("a", 1)
    (load,) = hub.finish(start)
    assert load == Load("a", 2)
    assert hub.finish(load) == [Grant(hub.ticket(1), "a")]


def test_one_load_serves_all_who_wait() -> None:
    hub = Hub({"a": UNLOADED})
    (load,) = hub.ask("a", 1)
    assert hub.ask("a", 2) == []
    assert hub.finish(load) == [Grant(hub.ticket(1), "a"), Grant(hub.ticket(2), "a")]


def test_nothing_is_loaded_for_nobody() -> None:
    hub = Hub({"a": DOWN})
    (start,) = hub.ask("a", 1)
    assert hub.cancel(1) == []
    assert hub.finish(start) == []


def test_a_load_under_way_goes_on_when_its_ticket_leaves_and_serves_the_next() -> None:
    hub = Hub({"a": UNLOADED})
    (load,) = hub.ask("a", 1)
    hub.cancel(1)
    assert hub.ask("a", 2) == []
    assert hub.finish(load) == [Grant(hub.ticket(2), "a")]


def test_a_load_that_somebody_else_began_is_joined_whatever_room_there_is() -> None:
    hub = Hub({"a": LOADING, "b": READY}, **in_group())
    assert hub.ask("a", 1) == [Load("a", 1)]


def test_a_model_that_was_not_looked_at_yet_is_waited_for() -> None:
    scheduler = Scheduler(Rules({"a": ModelRules()}))
    ticket = Ticket(1, 100)
    assert scheduler.on_request(ticket, "a", 0) == []
    assert scheduler.on_observed("a", SlotFacts(1, **READY), 1) == [Grant(ticket, "a")]


def test_a_model_that_is_not_there_is_refused() -> None:
    hub = Hub({})
    assert hub.ask("x", 1) == [Reject(hub.ticket(1), "x", NoSuchModel())]


def test_without_jit_only_what_a_person_loads_is_granted() -> None:
    hub = Hub({}, {"a": ModelRules(jit=False)})
    assert hub.ask("a", 1) == [Reject(hub.ticket(1), "a", NotOnDemand(is_running=False))]
    hub.see("a", **UNLOADED)
    assert hub.ask("a", 2) == [Reject(hub.ticket(2), "a", NotOnDemand(is_running=True))]
    hub.see("a", **LOADING)
    assert hub.ask("a", 3) == []
    assert hub.see("a", **READY) == [Grant(hub.ticket(3), "a")]


def test_a_deadline_ends_the_waiting_and_not_the_load() -> None:
    hub = Hub({"a": UNLOADED})
    (load,) = hub.ask("a", 1, seconds=5)
    assert hub.scheduler.look_at == 1005
    assert hub.after(4.9) == []
    assert hub.after(0.1) == [Reject(hub.ticket(1, 5), "a", TimedOut())]
    assert hub.scheduler.look_at is None
    hub.finish(load)
    assert hub.ask("a", 2) == [Grant(hub.ticket(2), "a")]


def test_a_failed_load_is_told_to_all_who_wait_and_tried_again_after_its_time() -> None:
    hub = Hub({"a": UNLOADED})
    (load,) = hub.ask("a", 1)
    failed = Failed(LoadFailed("a", "damaged"), retry_in_seconds=4)
    why = Broken(failed.error)
    assert hub.finish(load, failed) == [Reject(hub.ticket(1), "a", why, 4)]
    hub.now += 1
    hub.see("a", **UNLOADED)
    assert hub.ask("a", 2) == [Reject(hub.ticket(2), "a", why, 3)]
    hub.now += 3
    assert hub.ask("a", 3) == [Load("a", 2)]


def test_a_failed_start_is_told_to_who_waited_and_the_next_waits_for_a_look() -> None:
    hub = Hub({})
    (start,) = hub.ask("a", 1)
    failed = Failed(ModelFailed("a", "died 5 times"))
    assert hub.finish(start, failed) == [Reject(hub.ticket(1), "a", Broken(failed.error))]
    hub.now += 1
    assert hub.ask("a", 2) == []
    assert hub.see("a", **DOWN) == [Start("a", 2)]


def test_a_failure_that_a_look_saw_is_heeded_like_one_that_was_told() -> None:
    hub = Hub({})
    error = LoadFailed("a", "damaged")
    hub.see("a", load_error=error, retry_in_seconds=2, **UNLOADED)
    assert hub.ask("a", 1) == [Reject(hub.ticket(1), "a", Broken(error), 2)]
    hub.see("a", **READY)
    assert hub.ask("a", 2) == [Grant(hub.ticket(2), "a")]


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


def test_memory_that_the_worker_lacks_is_made_free_once() -> None:
    seen = {"a": {**UNLOADED, "reserved_bytes": 50}, "b": {**READY, "reserved_bytes": 30}}
    hub = Hub(seen, limit=100)
    (load,) = hub.ask("a", 1)
    hub.now += 1
    hub.finish(load, Refused(REFUSAL, short_bytes=25))
    hub.see("c", **DOWN)
    (unload,) = hub.see("b", reserved_bytes=30, **READY)
    assert unload == Unload("b", 2)
    assert hub.finish(unload) == [Load("a", 3)]


def test_an_observation_from_before_the_last_change_undoes_nothing() -> None:
    hub = Hub({"a": UNLOADED})
    (load,) = hub.ask("a", 1)
    hub.now += 5
    assert hub.see("a", **DOWN) == [], "under way: only its end counts"
    hub.finish(load)
    assert hub.see("a", seconds_ago=1, **UNLOADED) == []
    assert hub.ask("a", 2) == [Grant(hub.ticket(2), "a")]
    hub.now += 1
    hub.see("a", **DOWN)
    hub.see("a", seconds_ago=0.5, **READY)
    assert hub.ask("a", 3) == [Start("a", 2)]


def test_an_answer_that_comes_twice_or_late_undoes_nothing() -> None:
    hub = Hub({"a": UNLOADED})
    (load,) = hub.ask("a", 1)
    hub.finish(load)
    assert hub.finish(load, Failed(REFUSAL, 60)) == []
    assert hub.ask("a", 2) == [Grant(hub.ticket(2), "a")]
    assert hub.cancel(2) == hub.cancel(2) == hub.release(7) == []


def test_an_answer_to_an_earlier_command_ends_no_later_one() -> None:
    hub = Hub({"a": UNLOADED})
    (load,) = hub.ask("a", 1)
    hub.finish(load)
    hub.now += 1
    hub.see("a", **DOWN)
    (start,) = hub.ask("a", 2)
    assert hub.finish(load) == []
    assert hub.finish(start) == [Load("a", 3)]


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


def test_a_crash_starts_the_model_again_for_who_comes_next() -> None:
    hub = Hub({"a": READY})
    hub.ask("a", 1)
    hub.now += 1
    hub.see("a", **DOWN)
    assert hub.ask("a", 2) == [Start("a", 1)]


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


def test_a_model_that_came_back_is_looked_at_first_though_somebody_still_has_a_lease() -> None:
    hub = Hub({"a": READY})
    hub.ask("a", 1)
    hub.scheduler.on_config(Rules({"b": ModelRules()}), hub.now)
    hub.now += 1
    hub.scheduler.on_config(hub.rules, hub.now)
    assert hub.ask("a", 2) == []
    assert hub.see("a", seconds_ago=0.5, **READY) == []
    assert hub.see("a", **READY) == [Grant(hub.ticket(2), "a")]


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
