"""What the controller and `mlxhub status --json` say of a hub."""

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from mlxhub.core.lifecycle import ModelState, ProcessState
from mlxhub.core.model_type import ModelType


class ControllerView(BaseModel):
    process: ProcessState
    pid: int | None
    host: str
    port: int
    label: str
    started_at: float | None = None
    last_exit: str | None = None
    error: str | None = None


class ModelView(BaseModel):
    """One model. Times are Unix seconds, for people; `memory` is null where the worker is silent, and `type`
    where hub.yaml says none and it was silent so far.
    """

    name: str
    aliases: list[str] = []
    type: ModelType | None
    label: str
    port: int
    default: bool
    process: ProcessState
    memory: ModelState | None
    pid: int | None = None
    memory_bytes: int | None = None
    context_length: int | None = None
    in_flight: int | None = None
    queued: int | None = None
    restarts: int | None = None
    last_exit: str | None = None
    error: str | None = None
    started_at: float | None = None
    last_activity_at: float | None = None
    unload_at: float | None = None
    facts_age_seconds: float | None = None
    trust_remote_code: bool = False


class Counts(BaseModel):
    models: int
    running: int
    loaded: int


class GroupView(BaseModel):
    """`loaded`: the models of it that are in memory or on their way there."""

    name: str
    max_loaded: int
    loaded: list[str]


class MemoryHolder(BaseModel):
    """0 bytes: its load has not come so far that it is known."""

    name: str
    reserved_bytes: int


class MemoryView(BaseModel):
    """What loaded models have reserved together. `limit_bytes` is null where nothing was applied yet."""

    limit_bytes: int | None = None
    reserved_bytes: int = 0
    holders: list[MemoryHolder] = []


class HubStatus(BaseModel):
    """`groups` and `memory` are as applied last, and true also where workers are silent."""

    controller: ControllerView
    models: list[ModelView]
    groups: list[GroupView] = []
    memory: MemoryView = MemoryView()
    warnings: list[str] = []
    counts: Counts


class ActionResult(BaseModel):
    """How one action on one model ended."""

    name: str
    ok: bool
    message: str


class BulkResult(BaseModel):
    """`started` counts the successes, whatever the action was."""

    started: int
    total: int
    startup_time_seconds: float
    results: list[ActionResult]


class Failure(BaseModel):
    """What could not be done to a model, and why; `evidence` are lines that show it."""

    name: str
    message: str
    evidence: list[str] = []


class ReloadResult(BaseModel):
    """Model names by what happened to their processes. `stopped` are those that are no more.

    `defined`: new or changed, and without a process; their next start is by the new definition.
    `not_begun`: models that differ from hub.yaml still, because a change before theirs failed.
    """

    started: list[str]
    stopped: list[str]
    restarted: list[str]
    unchanged: list[str]
    defined: list[str] = []
    failed: list[Failure] = []
    not_begun: list[str] = []
    warnings: list[str] = []


class OperationState(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class OperationView(BaseModel):
    """Something that a person asked of the hub. `model` is null where it was asked of all.

    Times are Unix seconds. `results`: of each model, once it has ended.
    """

    id: str
    action: str
    model: str | None
    state: OperationState
    started_at: float
    ended_at: float | None = None
    message: str | None = None
    results: list[ActionResult] = []


class OperationList(BaseModel):
    """The newest first."""

    operations: list[OperationView]


# Told in the place of events that are not known any more.
EVENTS_MISSED = "events.missed"


class HubEvent(BaseModel):
    """`sequence` counts from 1 in a controller's life, and `id` is unique. `at` in Unix seconds.

    `model` is null where it is about the whole hub; `process`, `memory`, `pid` and `last_exit` are what was
    known of it then. `operation`: the id of one.
    """

    id: str
    sequence: int
    at: float
    kind: str
    message: str
    model: str | None = None
    process: ProcessState | None = None
    memory: ModelState | None = None
    pid: int | None = None
    last_exit: str | None = None
    operation: str | None = None


class LogLines(BaseModel):
    """Of a log, whole ones, the oldest first."""

    lines: list[str]


class HistoryPoint(BaseModel):
    """`at`: Unix seconds at which it begins. The most requests there were, and the last memory seen."""

    at: int
    tokens_per_second: float
    in_flight: int
    queued: int
    memory_bytes: int


class ModelHistory(BaseModel):
    """The last hour, a point for every so many `seconds`, the oldest first; none while it was silent."""

    name: str
    seconds: int
    points: list[HistoryPoint]


class UnlockToken(BaseModel):
    """Opens one session in a browser, once, within so many seconds."""

    token: str
    seconds: float


class OpenSession(BaseModel):
    model_config = ConfigDict(extra="forbid")

    token: str = Field(max_length=200)


class Unlocked(BaseModel):
    """`session` is taken like the admin key, for so many seconds and until the controller ends."""

    session: str
    seconds: float


ModelAction = Literal["start", "stop", "restart", "load", "unload"]
BulkAction = Literal["start-all", "stop-all"]
