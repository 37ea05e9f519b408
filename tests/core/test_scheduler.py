"""The scheduler: starting, loading, granting and failing, and what is known of a model by when."""

from mlxhub.core.commands import (
    Broken,
    Failed,
    Grant,
    Load,
    NotOnDemand,
    Reject,
    Start,
    Ticket,
    TimedOut,
)
from mlxhub.core.rules import ModelRules, Rules
from mlxhub.core.scheduler import Scheduler
from mlxhub.core.slot import SlotFacts
from mlxhub.errors import LoadFailed, ModelFailed
from tests.core.scheduled_hub import DOWN, LOADING, READY, REFUSAL, UNLOADED, Hub, in_group


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


def test_without_jit_only_what_a_person_loads_is_granted() -> None:
    hub = Hub({}, {"a": ModelRules(jit=False)})
    assert hub.ask("a", 1) == [Reject(hub.ticket(1), "a", NotOnDemand(is_running=False))]
    hub.see("a", **UNLOADED)
    assert hub.ask("a", 2) == [Reject(hub.ticket(2), "a", NotOnDemand(is_running=True))]
    hub.see("a", **LOADING)
    assert hub.ask("a", 3) == []
    assert hub.see("a", **READY) == [Grant(hub.ticket(3), "a")]


def test_a_deadline_ends_the_waiting_for_a_start() -> None:
    hub = Hub({"a": DOWN})
    (start,) = hub.ask("a", 1, seconds=5)
    assert hub.scheduler.look_at == 1005
    assert hub.after(4.9) == []
    assert hub.after(0.1) == [Reject(hub.ticket(1, 5), "a", TimedOut())]
    assert hub.scheduler.look_at is None
    assert hub.finish(start) == []


def test_whoever_waits_for_a_load_that_is_under_way_waits_for_its_end() -> None:
    hub = Hub({"a": UNLOADED})
    (load,) = hub.ask("a", 1, seconds=5)
    assert hub.after(60) == []
    assert hub.finish(load) == [Grant(hub.ticket(1, 5), "a")]


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


def test_a_crash_starts_the_model_again_for_who_comes_next() -> None:
    hub = Hub({"a": READY})
    hub.ask("a", 1)
    hub.now += 1
    hub.see("a", **DOWN)
    assert hub.ask("a", 2) == [Start("a", 1)]


def test_a_model_that_came_back_is_looked_at_first_though_somebody_still_has_a_lease() -> None:
    hub = Hub({"a": READY})
    hub.ask("a", 1)
    hub.scheduler.on_config(Rules({"b": ModelRules()}), hub.now)
    hub.now += 1
    hub.scheduler.on_config(hub.rules, hub.now)
    assert hub.ask("a", 2) == []
    assert hub.see("a", seconds_ago=0.5, **READY) == []
    assert hub.see("a", **READY) == [Grant(hub.ticket(2), "a")]
