"""The planner: carried out in a world of pretend agents, a plan leads to what is desired, and once only."""

import json
import plistlib
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from mlxhub.core.agents import RenderedAgent
from mlxhub.core.lifecycle import ProcessState
from mlxhub.core.observed import AgentState
from mlxhub.core.plan import (
    Bootout,
    Bootstrap,
    Change,
    Effect,
    Kickstart,
    ObservedAgent,
    Ownership,
    RemovePlist,
    SetAside,
    Stage,
    Step,
    WritePlist,
    make_plan,
)

LABELS = ["controller", "worker.a", "worker.b", "worker.c"]
World = dict[str, ObservedAgent]


def agent(label: str, version: int, *, eager: bool) -> RenderedAgent:
    return RenderedAgent(label, f"{label}-{version}-{eager}".encode(), f"g{version}{eager}", eager)


def observed(label: str, plist: bytes | None, process: ProcessState, generation: str | None) -> ObservedAgent:
    return ObservedAgent(plist, AgentState(label, process, generation=generation))


def take(world: World, step: Step) -> World:
    label = step.label
    absent = observed(label, None, ProcessState.NOT_INSTALLED, None)
    now = world.get(label, absent)
    match step:
        case Bootout():
            now = replace(now, state=absent.state)
        case SetAside():
            assert now.plist is not None, "a copy of a plist that is not there"
        case RemovePlist():
            now = replace(now, plist=None)
        case WritePlist():
            now = replace(now, plist=step.plist)
        case Bootstrap():
            assert now.plist is not None, "bootstrap of a plist that is not there"
            assert not now.state.loaded, "bootstrap of a label that is loaded"
            now = observed(label, now.plist, ProcessState.STOPPED, step.generation)
        case Kickstart():
            assert now.state.loaded, "kickstart of a label that is not loaded"
            now = replace(now, state=replace(now.state, process=ProcessState.RUNNING))
    return world | {label: now}


agents = st.builds(agent, st.sampled_from(LABELS), st.integers(1, 3), eager=st.booleans())
desires = st.lists(agents, unique_by=lambda a: a.label).map(lambda found: {a.label: a for a in found})
states = st.sampled_from([state for state in ProcessState if state is not ProcessState.NOT_INSTALLED])


@st.composite
def worlds(draw: st.DrawFn) -> World:
    world: World = {}
    for label in draw(st.sets(st.sampled_from(LABELS))):
        file = draw(st.none() | agents.map(lambda a: a.plist))
        loaded = draw(st.booleans())
        process = draw(states) if loaded else ProcessState.NOT_INSTALLED
        generation = draw(st.sampled_from(["g1True", "g2False", "foreign"])) if loaded else None
        world[label] = observed(label, file, process, generation)
    return world


@given(desires, worlds())
def test_a_plan_leads_to_what_is_desired_and_is_then_empty(
    desired: dict[str, RenderedAgent], world: World
) -> None:
    after = world
    for step in make_plan(desired, world).steps:
        after = take(after, step)
    for label, wanted in desired.items():
        assert after[label].plist == wanted.plist
        assert after[label].state.generation == wanted.generation
    for label in after.keys() - desired.keys():
        assert after[label].plist is None
        assert not after[label].state.loaded
    ours = {label: found for label, found in after.items() if label in desired}
    again = make_plan(desired, ours)
    assert again.steps == ()
    assert set(again.changes.values()) <= {Change.KEEP}


@given(desires, worlds())
def test_at_most_one_running_agent_is_interrupted_at_a_time(
    desired: dict[str, RenderedAgent], world: World
) -> None:
    """These agents have no ports, so that none of them waits for another."""
    plan = make_plan(desired, world)
    for stage in plan.stages:
        stopped = [step.label for step in stage.steps if isinstance(step, Bootout)]
        running = [label for label in stopped if label in desired and not world[label].state.has_no_process]
        assert len(running) <= 1
        if running:
            assert stage.gates
            assert stage.labels == (running[0],)


@given(desires, worlds())
def test_whatever_is_kicked_is_waited_for_in_its_own_stage(
    desired: dict[str, RenderedAgent], world: World
) -> None:
    for stage in make_plan(desired, world).stages:
        kicked = {step.label for step in stage.steps if isinstance(step, Kickstart)}
        assert kicked == set(stage.awaits)


@given(desires, worlds())
def test_what_is_as_desired_is_not_touched(desired: dict[str, RenderedAgent], world: World) -> None:
    plan = make_plan(desired, world)
    for label, wanted in desired.items():
        found = world.get(label)
        as_desired = found and found.plist == wanted.plist and found.state.generation == wanted.generation
        if found and as_desired and not found.state.broken:
            assert plan.changes[label] is Change.KEEP
            assert all(step.label != label for step in plan.steps)


def test_removals_come_first_and_additions_last_together() -> None:
    desired = {
        label: agent(label, 2, eager=True) for label in ("worker.new", "worker.a", "worker.b", "worker.more")
    }
    world = {
        label: observed(label, b"old", ProcessState.RUNNING, "old")
        for label in ("worker.a", "worker.b", "gone")
    }
    plan = make_plan(desired, world)
    assert [stage.labels for stage in plan.stages] == [
        ("gone",),
        ("worker.a",),
        ("worker.b",),
        ("worker.new", "worker.more"),
    ]
    assert [stage.gates for stage in plan.stages] == [True, True, True, False]


def serving(label: str, port: int, generation: str) -> bytes:
    arguments = ["mlxhub", "worker", "--settings", json.dumps({"port": port}), "--generation", generation]
    return plistlib.dumps({"Label": label, "ProgramArguments": arguments})


def moved(before: dict[str, int], after: dict[str, int]) -> list[tuple[str, ...]]:
    """The stages in which running agents get from these ports to those."""
    desired = {
        label: RenderedAgent(label, serving(label, port, "new"), "new", eager=True)
        for label, port in after.items()
    }
    world = {
        label: observed(label, serving(label, port, "old"), ProcessState.RUNNING, "old")
        for label, port in before.items()
    }
    return [stage.labels for stage in make_plan(desired, world).stages]


def test_agents_that_swap_ports_stop_together() -> None:
    assert moved({"a": 1, "b": 2, "c": 3}, {"a": 2, "b": 1, "c": 4}) == [("a", "b"), ("c",)]
    assert moved({"a": 1, "b": 2, "c": 3}, {"a": 2, "b": 3, "c": 1}) == [("a", "b", "c")]


def test_an_agent_takes_the_port_of_another_after_it_has_left() -> None:
    assert moved({"a": 1, "b": 2, "c": 3}, {"a": 2, "b": 3, "c": 9}) == [("c",), ("b",), ("a",)]
    assert moved({"a": 1, "b": 2}, {"a": 2, "b": 3, "new": 1}) == [("b",), ("a",), ("new",)]
    assert moved({"a": 1, "gone": 2}, {"a": 2}) == [("gone",), ("a",)]


def test_a_stopped_eager_agent_that_is_loaded_stays_stopped() -> None:
    wanted = agent("worker.a", 1, eager=True)
    found = observed("worker.a", wanted.plist, ProcessState.STOPPED, wanted.generation)
    assert make_plan({"worker.a": wanted}, {"worker.a": found}).stages == ()


def test_an_agent_whose_loaded_arguments_cannot_be_read_is_left_running() -> None:
    wanted = agent("worker.a", 1, eager=True)
    found = observed("worker.a", wanted.plist, ProcessState.UNKNOWN, None)
    assert make_plan({"worker.a": wanted}, {"worker.a": found}).stages == ()


def test_a_lazy_agent_that_ran_runs_again_after_a_change_and_is_waited_for() -> None:
    wanted = agent("worker.a", 2, eager=False)
    found = observed("worker.a", b"old", ProcessState.RUNNING, "old")
    plan = make_plan({"worker.a": wanted}, {"worker.a": found})
    assert plan.stages == (
        Stage(
            steps=(
                WritePlist("worker.a", wanted.plist),
                Bootout("worker.a"),
                Bootstrap("worker.a", wanted.generation),
                Kickstart("worker.a"),
            ),
            awaits=("worker.a",),
            gates=True,
        ),
    )
    assert plan.differences["worker.a"].effect is Effect.RESTARTS


def test_a_lazy_agent_that_did_not_run_is_not_waited_for() -> None:
    wanted = agent("worker.a", 2, eager=False)
    found = observed("worker.a", b"old", ProcessState.STOPPED, "old")
    (stage,) = make_plan({"worker.a": wanted}, {"worker.a": found}).stages
    assert (stage.awaits, stage.gates) == ((), False)


def test_a_lost_file_is_written_again_without_a_restart() -> None:
    wanted = agent("worker.a", 1, eager=True)
    found = observed("worker.a", None, ProcessState.RUNNING, wanted.generation)
    plan = make_plan({"worker.a": wanted}, {"worker.a": found})
    assert plan.steps == (WritePlist("worker.a", wanted.plist),)
    assert plan.changes == {"worker.a": Change.REWRITE}


def test_what_changed_in_an_unfinished_rollout_must_be_ready_before_more_is_interrupted() -> None:
    """worker.a was changed and did not come up; worker.b still runs what last was good."""
    a, b = (agent(label, 2, eager=True) for label in ("worker.a", "worker.b"))
    ended = AgentState("worker.a", ProcessState.THROTTLED, generation=a.generation, last_exit="exit 1")
    world = {
        "worker.a": ObservedAgent(a.plist, ended),
        "worker.b": observed("worker.b", b"old", ProcessState.RUNNING, "old"),
    }
    desired = {"worker.a": a, "worker.b": b}
    first, second = make_plan(desired, world, proven={"worker.a": "old", "worker.b": "old"}).stages
    assert first == Stage((Kickstart("worker.a"),), awaits=("worker.a",), gates=True)
    assert second.labels == ("worker.b",)
    # One that was good with this definition is launchd's to bring back, and one that is new stops nobody.
    for proven in ({"worker.a": a.generation, "worker.b": "old"}, {"worker.b": "old"}):
        plan = make_plan(desired, world, proven=proven)
        assert [stage.labels for stage in plan.stages] == [("worker.b",)]
        assert plan.down == ("worker.a",)


def test_a_lazy_agent_that_changed_and_died_must_be_ready_before_more_is_interrupted() -> None:
    lazy, eager = agent("worker.a", 2, eager=False), agent("worker.b", 2, eager=True)
    desired = {"worker.a": lazy, "worker.b": eager}

    def first_stage(last_exit: str | None, *, proven: str = "old") -> Stage:
        state = AgentState("worker.a", ProcessState.STOPPED, generation=lazy.generation, last_exit=last_exit)
        world = {
            "worker.a": ObservedAgent(lazy.plist, state),
            "worker.b": observed("worker.b", b"old", ProcessState.RUNNING, "old"),
        }
        return make_plan(desired, world, proven={"worker.a": proven}).stages[0]

    assert first_stage("exit 1") == Stage((Kickstart("worker.a"),), awaits=("worker.a",), gates=True)
    for nothing_wrong in (first_stage("exit 0"), first_stage(None), first_stage("exit 1", proven="g2False")):
        assert nothing_wrong.labels == ("worker.b",)


@given(agents, st.sampled_from([ProcessState.UNKNOWN, ProcessState.STOPPING, ProcessState.STARTING]))
def test_what_may_have_a_process_is_started_again_and_waited_for(
    wanted: RenderedAgent, process: ProcessState
) -> None:
    found = observed(wanted.label, b"old", process, "old")
    plan = make_plan({wanted.label: wanted}, {wanted.label: found})
    (stage,) = plan.stages
    assert stage.steps[-2:] == (Bootstrap(wanted.label, wanted.generation), Kickstart(wanted.label))
    assert (stage.awaits, stage.gates) == ((wanted.label,), True)
    assert plan.differences[wanted.label].effect is Effect.RESTARTS
    assert make_plan({}, {wanted.label: found}).differences[wanted.label].effect is Effect.STOPS


def test_a_label_that_is_nowhere_any_more_takes_no_step() -> None:
    nowhere = observed("worker.a", None, ProcessState.NOT_INSTALLED, None)
    assert make_plan({}, {"worker.a": nowhere}).stages == ()


def test_one_that_keeps_itself_down_counts_as_down_and_one_that_was_stopped_does_not() -> None:
    wanted = agent("worker.a", 1, eager=True)
    stopped = AgentState("worker.a", ProcessState.STOPPED, generation=wanted.generation, last_exit="exit 0")
    assert make_plan({"worker.a": wanted}, {"worker.a": ObservedAgent(wanted.plist, stopped)}).down == ()
    parked = ObservedAgent(wanted.plist, stopped, parked=True)
    assert make_plan({"worker.a": wanted}, {"worker.a": parked}).down == ("worker.a",)


def test_a_file_that_is_not_ours_is_refused_with_its_path_and_the_rest_goes_on() -> None:
    wanted = {label: agent(label, 2, eager=True) for label in ("worker.a", "worker.b")}
    found = ObservedAgent(
        b"theirs", AgentState("worker.a", ProcessState.NOT_INSTALLED), Ownership.FOREIGN, "/agents/a.plist"
    )
    plan = make_plan(wanted, {"worker.a": found})
    assert plan.refusals == {"worker.a": "/agents/a.plist was not written by mlxhub."}
    assert [stage.labels for stage in plan.stages] == [("worker.b",)]
    assert make_plan({}, {"worker.a": replace(found, ownership=Ownership.EDITED)}).refusals.keys() == {
        "worker.a"
    }
    forced = make_plan(wanted, {"worker.a": found}, force=True)
    assert forced.refusals == {}
    assert forced.steps[0] == SetAside("worker.a")


def test_a_label_that_another_hub_runs_is_taken_over_only_by_force() -> None:
    wanted = {"worker.a": agent("worker.a", 1, eager=True)}
    theirs = observed("worker.a", None, ProcessState.RUNNING, "theirs")
    world = {"worker.a": replace(theirs, loaded_from="/other/a.plist")}
    assert "/other/a.plist" in make_plan(wanted, world).refusals["worker.a"]
    assert Bootout("worker.a") in make_plan(wanted, world, force=True).steps
    assert make_plan({}, world).stages == ()
    ours = {"worker.a": replace(world["worker.a"], plist=b"ours")}
    assert make_plan({}, ours).steps == (RemovePlist("worker.a"),)


def test_a_definition_that_launchd_cannot_start_is_loaded_anew() -> None:
    wanted = agent("worker.a", 1, eager=True)
    state = AgentState("worker.a", ProcessState.FAILED, generation=wanted.generation)
    plan = make_plan({"worker.a": wanted}, {"worker.a": ObservedAgent(wanted.plist, state)})
    assert plan.changes == {"worker.a": Change.CHANGE}
    assert Bootout("worker.a") in plan.steps
