"""The difference between the agents there should be and those there are, and the stages that undo it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from mlxhub.core.agents import RenderedAgent
from mlxhub.core.differences import DEFINITION, KeyChange, changed_keys, port_of
from mlxhub.core.lifecycle import ProcessState
from mlxhub.core.observed import AgentState
from mlxhub.core.port_order import port_batches


class Ownership(StrEnum):
    """Whose a plist at a place of ours is. EDITED: ours, and somebody else changed it since."""

    OURS = "ours"
    EDITED = "edited"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class ObservedAgent:
    """One label as found: the bytes of its plist file, None without one, and what launchd runs.

    `path` is where the file lies or would; `loaded_from` the plist that launchd has the label from, where
    that is another. `parked`: it keeps itself down, after too many deaths.
    """

    plist: bytes | None
    state: AgentState
    ownership: Ownership = Ownership.OURS
    path: str = ""
    loaded_from: str | None = None
    parked: bool = False

    @property
    def is_down(self) -> bool:
        """Loaded, without a process, and nobody wished it so."""
        if not self.state.loaded or not self.state.has_no_process:
            return False
        never_ran = self.state.process is ProcessState.STOPPED and self.state.last_exit is None
        return self.parked or not (never_ran or self.state.stopped_on_purpose)


@dataclass(frozen=True, slots=True)
class Bootout:
    label: str


@dataclass(frozen=True, slots=True)
class SetAside:
    """Keep a copy of a file that is somebody's work before it goes."""

    label: str


@dataclass(frozen=True, slots=True)
class RemovePlist:
    label: str


@dataclass(frozen=True, slots=True)
class WritePlist:
    label: str
    plist: bytes


@dataclass(frozen=True, slots=True)
class Bootstrap:
    label: str
    generation: str


@dataclass(frozen=True, slots=True)
class Kickstart:
    label: str


Step = Bootout | SetAside | RemovePlist | WritePlist | Bootstrap | Kickstart
_ORDER = (SetAside, WritePlist, Bootout, RemovePlist, Bootstrap, Kickstart)


class Change(StrEnum):
    """What happens to one label. REWRITE: to its file only, the process goes on. REFUSE: it is not ours."""

    ADD = "add"
    CHANGE = "change"
    REWRITE = "rewrite"
    REMOVE = "remove"
    KEEP = "keep"
    REFUSE = "refuse"


class Effect(StrEnum):
    """What that means for its process."""

    STARTS = "starts"
    RESTARTS = "restarts"
    STOPS = "stops"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Difference:
    change: Change
    effect: Effect = Effect.NONE
    keys: tuple[KeyChange, ...] = ()
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """What is done together: all it writes, then its stops, then its starts, then it is waited for.

    `awaits`: labels whose process must be ready afterwards. `gates`: if any of it fails, the rest of the plan
    is not begun.
    """

    steps: tuple[Step, ...]
    awaits: tuple[str, ...] = ()
    gates: bool = False

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*(step.label for step in self.steps), *self.awaits]))


@dataclass(frozen=True, slots=True)
class Plan:
    """`stages` in the order to take them. `down`: defined as they should be, not running as they should.

    `in_the_way`: by name, why a file of the hub that is no plist is not ours to touch. `new_limits`: what
    models may take together changes, which restarts nothing.
    """

    differences: Mapping[str, Difference]
    stages: tuple[Stage, ...]
    down: tuple[str, ...] = ()
    in_the_way: Mapping[str, str] = field(default_factory=dict)
    new_limits: bool = False

    @property
    def changes(self) -> dict[str, Change]:
        return {label: difference.change for label, difference in self.differences.items()}

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(step for stage in self.stages for step in stage.steps)

    @property
    def refusals(self) -> dict[str, str]:
        """Why, by label or by the name of a file."""
        refused = {
            label: each.refusal for label, each in self.differences.items() if each.refusal is not None
        }
        return refused | dict(self.in_the_way)

    @property
    def nothing_to_do(self) -> bool:
        return not self.stages and not self.refusals and not self.new_limits

    @property
    def touched(self) -> list[str]:
        """Labels with a step or a wait."""
        return list(dict.fromkeys(label for stage in self.stages for label in stage.labels))

    def labels(self, *changes: Change) -> list[str]:
        return [label for label, change in self.changes.items() if change in changes]


def make_plan(
    desired: Mapping[str, RenderedAgent],
    observed: Mapping[str, ObservedAgent],
    *,
    force: bool = False,
    proven: Mapping[str, str] | None = None,
) -> Plan:
    """Removals first; then, one at a time, what runs and changes; then what interrupts nobody, together.

    Agents that swap ports change together, and one that takes another's port after it.
    A label that is observed and not desired goes: pass only labels that are ours. `force`: also what is not
    ours to touch. `proven`: the generations that were all ready when last everything was; an agent that
    changed since and is not known to be ready must be so before anything else is interrupted.
    """
    gone = {label: found for label, found in observed.items() if label not in desired}
    differences = {
        label: _difference(agent, observed.get(label), force=force) for label, agent in desired.items()
    }
    differences |= {label: _removal(found, force=force) for label, found in gone.items() if _exists(found)}

    refused = {label for label, each in differences.items() if each.change is Change.REFUSE}
    wanted = {label: agent for label, agent in desired.items() if label not in refused}
    leaving = [label for label in gone if label in differences and label not in refused]
    stages = (
        # What cannot go may hold a port that something else is about to take.
        _stage([_removal_steps(label, gone[label]) for label in leaving], gates=True),
        _proof(wanted, observed, differences, proven or {}),
        *_arrivals(wanted, observed, differences),
    )
    awaited = {label for stage in stages for label in stage.awaits}
    down = tuple(
        label
        for label, agent in desired.items()
        if agent.eager and label not in awaited and label in observed and observed[label].is_down
    )
    return Plan(differences, tuple(stage for stage in stages if stage.labels), down)


def _difference(agent: RenderedAgent, found: ObservedAgent | None, *, force: bool) -> Difference:
    """A loaded agent whose generation cannot be read is believed to be what its file says."""
    starts = Effect.STARTS if agent.eager else Effect.NONE
    if found is None:
        return Difference(Change.ADD, starts)
    refusal = None if force else _refusal(agent, found)
    if refusal is not None:
        return Difference(Change.REFUSE, refusal=refusal)
    if not found.state.loaded:
        return Difference(Change.ADD, starts)
    keys = changed_keys(found.plist, agent.plist)
    generation = found.state.generation
    current = generation == agent.generation or (generation is None and not keys)
    if current and found.loaded_from is None and not found.state.broken:
        return Difference(Change.REWRITE, keys=keys) if keys else Difference(Change.KEEP)
    if not keys:
        keys = (KeyChange(DEFINITION, generation, agent.generation),)
    restarts = starts if found.state.has_no_process else Effect.RESTARTS
    return Difference(Change.CHANGE, restarts, keys)


def _removal(found: ObservedAgent, *, force: bool) -> Difference:
    if found.ownership is Ownership.EDITED and not force:
        reason = f"{found.path} was edited since mlxhub wrote it, and hub.yaml has no model for it."
        return Difference(Change.REFUSE, refusal=reason)
    stops = found.loaded_from is None and not found.state.has_no_process
    return Difference(Change.REMOVE, Effect.STOPS if stops else Effect.NONE)


def _refusal(agent: RenderedAgent, found: ObservedAgent) -> str | None:
    """A file that holds what we would write is ours, whoever wrote it."""
    if found.loaded_from is not None:
        return f"launchd runs it from {found.loaded_from}, which is not this hub's."
    if found.plist == agent.plist:
        return None
    match found.ownership:
        case Ownership.OURS:
            return None
        case Ownership.EDITED:
            return f"{found.path} was edited since mlxhub wrote it."
        case Ownership.FOREIGN:
            return f"{found.path} was not written by mlxhub."


def _exists(found: ObservedAgent) -> bool:
    return found.plist is not None or (found.state.loaded and found.loaded_from is None)


def _may_run(found: ObservedAgent | None) -> bool:
    """One of which launchd does not say that it has no process is treated as if it had."""
    return found is not None and not found.state.has_no_process


def _removal_steps(label: str, found: ObservedAgent) -> list[Step]:
    """Another's job under our label goes on; our file for it goes."""
    steps: list[Step] = [Bootout(label)] if found.state.loaded and found.loaded_from is None else []
    if found.plist is not None and found.ownership is not Ownership.OURS:
        steps.append(SetAside(label))
    return [*steps, RemovePlist(label)]


def _arrival_steps(agent: RenderedAgent, found: ObservedAgent | None, difference: Difference) -> list[Step]:
    """An eager agent is always kicked: a domain in on-demand-only mode holds RunAtLoad back."""
    steps: list[Step] = [Bootout(agent.label)] if difference.change is Change.CHANGE else []
    if found is None or found.plist != agent.plist:
        if found is not None and found.plist is not None and found.ownership is not Ownership.OURS:
            steps.append(SetAside(agent.label))
        steps.append(WritePlist(agent.label, agent.plist))
    if difference.change in (Change.ADD, Change.CHANGE):
        steps.append(Bootstrap(agent.label, agent.generation))
        if agent.eager or _may_run(found):
            steps.append(Kickstart(agent.label))
    return steps


def _arrivals(
    wanted: Mapping[str, RenderedAgent],
    observed: Mapping[str, ObservedAgent],
    differences: Mapping[str, Difference],
) -> list[Stage]:
    """What runs and changes, each port handed over before it is taken; then, together, all the rest."""
    steps = {
        label: _arrival_steps(agent, observed.get(label), differences[label])
        for label, agent in wanted.items()
    }
    changing = [
        label
        for label in wanted
        if differences[label].change is Change.CHANGE and _may_run(observed.get(label))
    ]
    before = {label: port_of(observed[label].plist or b"") for label in changing}
    after = {label: port_of(wanted[label].plist) for label in changing}
    stages = [_stage([steps[label] for label in batch], gates=True) for batch in port_batches(before, after)]
    return [*stages, _stage([each for label, each in steps.items() if label not in changing])]


def _stage(steps: list[list[Step]], *, gates: bool = False) -> Stage:
    """Whatever is kicked is waited for."""
    every = [step for each in steps for step in each]
    awaits = tuple(step.label for step in every if isinstance(step, Kickstart))
    return Stage(tuple(sorted(every, key=lambda step: _ORDER.index(type(step)))), awaits, gates)


def _proof(
    wanted: Mapping[str, RenderedAgent],
    observed: Mapping[str, ObservedAgent],
    differences: Mapping[str, Difference],
    proven: Mapping[str, str],
) -> Stage:
    """What an earlier plan changed before it came to its end: a rollout goes on only from what works."""
    unproven = []
    for label, agent in wanted.items():
        found = observed.get(label)
        if found is None or differences[label].change not in (Change.KEEP, Change.REWRITE):
            continue
        should_run = _may_run(found) or found.is_down
        if should_run and proven.get(label, agent.generation) != agent.generation:
            unproven.append(found)
    kicks = tuple(Kickstart(found.state.label) for found in unproven if found.is_down)
    return Stage(steps=kicks, awaits=tuple(found.state.label for found in unproven), gates=True)
