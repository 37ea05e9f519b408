"""The difference between the agents there should be and those there are, as steps."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from mlxhub.core.agents import RenderedAgent
from mlxhub.core.lifecycle import ProcessState
from mlxhub.core.observed import AgentState


@dataclass(frozen=True, slots=True)
class ObservedAgent:
    """One label as found: the bytes of its plist file, None without one, and what launchd runs."""

    plist: bytes | None
    state: AgentState


@dataclass(frozen=True, slots=True)
class Bootout:
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


Step = Bootout | RemovePlist | WritePlist | Bootstrap | Kickstart


class Change(StrEnum):
    """What happens to one label. REWRITE touches the file only: the process goes on."""

    ADD = "add"
    CHANGE = "change"
    REWRITE = "rewrite"
    REMOVE = "remove"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class Plan:
    """`steps` in the order to take them, all stops before all starts."""

    changes: Mapping[str, Change]
    steps: tuple[Step, ...]

    def labels(self, *changes: Change) -> list[str]:
        return [label for label, change in self.changes.items() if change in changes]


def make_plan(desired: Mapping[str, RenderedAgent], observed: Mapping[str, ObservedAgent]) -> Plan:
    """Stop everything that must go before anything starts.

    A label that is observed and not desired goes: pass only labels that are ours.
    """
    gone = {label: found for label, found in observed.items() if label not in desired}
    changes = {label: _change(agent, observed.get(label)) for label, agent in desired.items()}
    changes |= {label: Change.REMOVE for label, found in gone.items() if _exists(found)}

    stops: list[Step] = [Bootout(label) for label, change in changes.items() if change is Change.CHANGE]
    stops += [Bootout(label) for label, found in gone.items() if found.state.loaded]
    removals = [RemovePlist(label) for label in gone]
    writes = [
        WritePlist(label, agent.plist)
        for label, agent in desired.items()
        if label not in observed or observed[label].plist != agent.plist
    ]
    starts: list[Step] = []
    for label, agent in desired.items():
        if changes[label] in (Change.ADD, Change.CHANGE):
            starts += _start(agent, observed.get(label))
    return Plan(changes=changes, steps=(*stops, *removals, *writes, *starts))


def _exists(found: ObservedAgent) -> bool:
    return found.state.loaded or found.plist is not None


def _start(agent: RenderedAgent, found: ObservedAgent | None) -> list[Step]:
    """An eager agent is always kicked: a domain in on-demand-only mode holds RunAtLoad back."""
    was_running = found is not None and found.state.process is ProcessState.RUNNING
    steps: list[Step] = [Bootstrap(agent.label, agent.generation)]
    return [*steps, Kickstart(agent.label)] if agent.eager or was_running else steps


def _change(agent: RenderedAgent, found: ObservedAgent | None) -> Change:
    """A loaded agent whose generation cannot be read is believed to be what its file says."""
    if found is None or not found.state.loaded:
        return Change.ADD
    same_file = found.plist == agent.plist
    generation = found.state.generation
    if generation == agent.generation or (generation is None and same_file):
        return Change.KEEP if same_file else Change.REWRITE
    return Change.CHANGE
