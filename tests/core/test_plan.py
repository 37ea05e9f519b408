"""The planner: carried out in a world of pretend agents, a plan leads to what is desired, and once only."""

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
    Kickstart,
    ObservedAgent,
    RemovePlist,
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
    assert make_plan(desired, ours).steps == ()


@given(desires, worlds())
def test_all_stops_precede_all_starts(desired: dict[str, RenderedAgent], world: World) -> None:
    kinds = [type(step) for step in make_plan(desired, world).steps]
    order = [Bootout, RemovePlist, WritePlist]
    first_start = next((i for i, kind in enumerate(kinds) if kind in (Bootstrap, Kickstart)), len(kinds))
    assert all(kind in (Bootstrap, Kickstart) for kind in kinds[first_start:])
    assert kinds[:first_start] == sorted(kinds[:first_start], key=order.index)


@given(desires, worlds())
def test_what_is_as_desired_is_not_touched(desired: dict[str, RenderedAgent], world: World) -> None:
    plan = make_plan(desired, world)
    for label, wanted in desired.items():
        found = world.get(label)
        if found and found.plist == wanted.plist and found.state.generation == wanted.generation:
            assert plan.changes[label] is Change.KEEP
            assert all(step.label != label for step in plan.steps)


def test_a_stopped_eager_agent_that_is_loaded_stays_stopped() -> None:
    wanted = agent("worker.a", 1, eager=True)
    found = observed("worker.a", wanted.plist, ProcessState.STOPPED, wanted.generation)
    assert make_plan({"worker.a": wanted}, {"worker.a": found}).steps == ()


def test_an_agent_whose_loaded_arguments_cannot_be_read_is_left_running() -> None:
    wanted = agent("worker.a", 1, eager=True)
    found = observed("worker.a", wanted.plist, ProcessState.UNKNOWN, None)
    assert make_plan({"worker.a": wanted}, {"worker.a": found}).steps == ()


def test_a_lazy_agent_that_ran_runs_again_after_a_change() -> None:
    wanted = agent("worker.a", 2, eager=False)
    found = observed("worker.a", b"old", ProcessState.RUNNING, "old")
    assert make_plan({"worker.a": wanted}, {"worker.a": found}).steps == (
        Bootout("worker.a"),
        WritePlist("worker.a", wanted.plist),
        Bootstrap("worker.a", wanted.generation),
        Kickstart("worker.a"),
    )


def test_a_lost_file_is_written_again_without_a_restart() -> None:
    wanted = agent("worker.a", 1, eager=True)
    found = observed("worker.a", None, ProcessState.RUNNING, wanted.generation)
    plan = make_plan({"worker.a": wanted}, {"worker.a": found})
    assert plan.steps == (WritePlist("worker.a", wanted.plist),)
    assert plan.changes == {"worker.a": Change.REWRITE}
