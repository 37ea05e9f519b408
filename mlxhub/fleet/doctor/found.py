"""What checks judge: everything that was seen of a hub and its machine, as one value."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlxhub.core.agents import RenderedAgent, model_of
from mlxhub.core.config import HubConfig
from mlxhub.core.observed import AgentState
from mlxhub.core.paths import Paths
from mlxhub.core.plan import Ownership
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
    `ownership` is that of the file.
    """

    label: str
    desired: RenderedAgent | None
    file: PlistFile | None
    state: AgentState | None
    disabled: bool | None
    parked: str | None
    ownership: Ownership

    @property
    def eager(self) -> bool:
        """Whether launchd shall run it from login on, as its file says."""
        return self.file is not None and self.file.properties.get("RunAtLoad") is True

    @property
    def name(self) -> str:
        """As people call it."""
        model = model_of(self.label)
        return "the controller" if model is None else f'model "{model}"'

    @property
    def start_command(self) -> str:
        model = model_of(self.label)
        return "mlxhub start" if model is None else f"mlxhub start-model {model}"

    @property
    def logs_command(self) -> str:
        return f"mlxhub logs {model_of(self.label) or 'controller'}"


@dataclass(frozen=True, slots=True)
class Answers:
    """`facts` by model. `controller_pid`: who answered as our controller. `faults`: questions that broke."""

    facts: Mapping[str, ModelFacts]
    controller_pid: int | None
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """`faults` are those of hub.yaml. With them, `hub` and `config` are what was last applied, or None.

    `launchd_fault`: why launchd tells nothing. `checkpoints` by model, for those that lie in a directory;
    `locations` by model: where that is, or the Hugging Face repo id of one that is not in the cache.
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
