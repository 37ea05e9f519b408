"""What was seen of one agent and of one worker: values that edges fill in and decisions read."""

from dataclasses import dataclass

from mlxhub.core.lifecycle import ProcessState

# The program is another than the one whose signature launchd remembers since bootstrap.
CODE_CHANGED = "OS_REASON_CODESIGNING"
_WITHOUT_PROCESS = frozenset(
    {ProcessState.NOT_INSTALLED, ProcessState.STOPPED, ProcessState.THROTTLED, ProcessState.FAILED}
)
_CLEAN_EXIT = "exit 0"


@dataclass(frozen=True, slots=True)
class AgentState:
    """What launchd says of one label. `generation` is the definition hash in the loaded argv.

    `exit_reason` is launchd's own word for the last end, where it has one. `pended`: launchd wants to start
    it and does not, because its domain only starts what is demanded.
    """

    label: str
    process: ProcessState
    pid: int | None = None
    generation: str | None = None
    plist_path: str | None = None
    runs: int | None = None
    last_exit: str | None = None
    exit_reason: str | None = None
    pended: bool = False

    @property
    def broken(self) -> bool:
        """No start of this definition can succeed; one that is loaded anew may."""
        unsigned = self.exit_reason is not None and self.exit_reason.startswith(CODE_CHANGED)
        return self.pid is None and (self.process is ProcessState.FAILED or unsigned)

    @property
    def loaded(self) -> bool:
        """False only where launchd said so: silence is not absence."""
        return self.process is not ProcessState.NOT_INSTALLED

    @property
    def has_no_process(self) -> bool:
        """True only where launchd said so: a state that cannot be read may well have one."""
        return self.process in _WITHOUT_PROCESS

    @property
    def stopped_on_purpose(self) -> bool:
        """It ended by itself and cleanly, which it only does when told to; launchd leaves it down."""
        return self.process is ProcessState.STOPPED and self.last_exit == _CLEAN_EXIT


@dataclass(frozen=True, slots=True)
class PortHolder:
    """Who listens on a port. Both facts are missing where the system does not tell."""

    pid: int | None
    command: str | None
