"""What checks judge: everything that was seen of a hub and its machine, as one value."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlxhub.core.agents import RenderedAgent, model_of
from mlxhub.core.checks import Finding, skip
from mlxhub.core.config import HubConfig
from mlxhub.core.observed import AgentState
from mlxhub.core.paths import Paths
from mlxhub.core.plan import Ownership
from mlxhub.core.restarts import CONTROLLER, title
from mlxhub.errors import Fault
from mlxhub.files.machine import Machine
from mlxhub.files.probes import CheckpointSeen
from mlxhub.fleet.facts import ModelFacts
from mlxhub.fleet.hub import Hub


@dataclass(frozen=True, slots=True)
class PlistFile:
    """`content` is None where it cannot be read; `properties` are empty where it is no property list."""

    path: Path
    content: bytes | None
    properties: Mapping[str, object]
    mode: int
    owner: int
    is_regular: bool

    @property
    def arguments(self) -> list[str]:
        found = self.properties.get("ProgramArguments")
        return [str(argument) for argument in found] if isinstance(found, list) else []

    @property
    def python(self) -> str | None:
        """Our programs are `… PYTHON -I -m mlxhub …`."""
        place = self.arguments.index("-I") if "-I" in self.arguments else 0
        return self.arguments[place - 1] if place else None


@dataclass(frozen=True, slots=True)
class AgentFound:
    """One label that hub.yaml asks for or that was once installed.

    `desired` is None where hub.yaml asks for no such agent or cannot be read; `file` where there is none;
    `state` where launchd says nothing; `disabled` where it does not say that. `parked`: why it stays down.
    `ownership` is that of the file. `unread`: why nobody knows of file and note.
    """

    label: str
    desired: RenderedAgent | None
    file: PlistFile | None
    state: AgentState | None
    disabled: bool | None
    parked: str | None
    ownership: Ownership
    unread: str | None = None

    @property
    def eager(self) -> bool:
        """Whether launchd shall run it from login on, as its file says."""
        return self.file is not None and self.file.properties.get("RunAtLoad") is True

    @property
    def program(self) -> str:
        """As files, commands and notes name it: a model's name, or the controller."""
        return model_of(self.label) or CONTROLLER

    @property
    def title(self) -> str:
        """As a sentence about it begins."""
        return title(self.program)


@dataclass(frozen=True, slots=True)
class Answers:
    """`facts` by model. `controller_pid`: who answered as our controller. `faults`: questions that broke."""

    facts: Mapping[str, ModelFacts]
    controller_pid: int | None
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """`faults` are those of hub.yaml. With them, `hub` and `config` are what was last applied, or None.

    `launchd_fault`: why launchd tells nothing. `checkpoints` by model, but those that are in no cache.
    `locations` by model: its directory, or the repo id of one of which nobody knows the directory.
    """

    machine: Machine
    paths: Paths
    faults: tuple[Fault, ...]
    config: HubConfig | None
    hub: Hub | None
    agents: tuple[AgentFound, ...]
    state_fault: str | None
    launchd_fault: str | None
    answers: Answers
    locations: Mapping[str, str]
    checkpoints: Mapping[str, CheckpointSeen]

    @property
    def own_pids(self) -> dict[str, int]:
        """By label, of what runs."""
        return {
            agent.label: agent.state.pid
            for agent in self.agents
            if agent.state is not None and agent.state.pid is not None
        }

    @property
    def controller_pid(self) -> int | None:
        """As launchd says."""
        return None if self.hub is None else self.own_pids.get(self.hub.controller_label)


def unknown_without_hub(which: str) -> list[Finding]:
    """For a check that compares with hub.yaml, where there is none to compare with."""
    return [skip(f"hub.yaml is not usable, so nobody can tell which {which}.")]


def unknown_without_launchd() -> list[Finding]:
    return [skip("launchd does not tell: see launchd.session.")]
