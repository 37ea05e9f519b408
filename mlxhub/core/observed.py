"""What was seen of one agent and of one worker: values that edges fill in and decisions read."""

from dataclasses import dataclass

from mlxhub.core.lifecycle import ProcessState


@dataclass(frozen=True, slots=True)
class AgentState:
    """What launchd says of one label. `generation` is the definition hash in the loaded argv."""

    label: str
    process: ProcessState
    pid: int | None = None
    generation: str | None = None
    plist_path: str | None = None
    runs: int | None = None
    last_exit: str | None = None

    @property
    def loaded(self) -> bool:
        """False only where launchd said so: silence is not absence."""
        return self.process is not ProcessState.NOT_INSTALLED


@dataclass(frozen=True, slots=True)
class PortHolder:
    """Who listens on a port. Both facts are missing where the system does not tell."""

    pid: int | None
    command: str | None
