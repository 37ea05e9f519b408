"""What was seen of one model: values that observation fills in and the status is made from."""

from dataclasses import dataclass

from mlxhub.core.observed import AgentState, PortHolder
from mlxhub.protocol.worker import WorkerStatus


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """`worker` is the last answer of the process that launchd runs, at `answered_at`.

    `silent_since`: the first of the looks at which it did not answer, None where it answered at this one;
    `silence` says how, and `hangs` that it takes connections. `agent` is what launchd last said; it was last
    asked at `inspected_at`, and `launchd_error` is why it said nothing then. `pid_seen_at`: since when our
    process has the pid it has. `holder` listens on the model's port and is not ours. `parked`: why it is kept
    down until a person starts it. All times are monotonic.
    """

    silent_since: float | None
    silence: str | None = None
    hangs: bool = False
    worker: WorkerStatus | None = None
    answered_at: float | None = None
    agent: AgentState | None = None
    inspected_at: float | None = None
    pid_seen_at: float | None = None
    launchd_error: str | None = None
    holder: PortHolder | None = None
    parked: str | None = None

    @property
    def silent(self) -> bool:
        return self.silent_since is not None

    @property
    def pid(self) -> int | None:
        """Of our process, as far as anybody knows."""
        if not self.silent and self.worker is not None:
            return self.worker.pid
        return None if self.agent is None else self.agent.pid
