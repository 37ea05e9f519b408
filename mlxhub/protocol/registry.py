"""What crosses HTTP, and comes with --json, about models on disk."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from mlxhub.core.model_type import ModelType


class DiscoveredModel(BaseModel):
    """`model_path` is what would stand in hub.yaml. `models`: those of hub.yaml that are this one.

    `fits`: whether it alone fits into what all models may take together, None: nothing limits that. Of one
    with a `fault`, which cannot be loaded, nothing more is known.
    """

    model_path: str
    directory: str
    models: list[str] = Field(default_factory=list)
    family: str | None = None
    kind: str | None = None
    parameters: int | None = None
    quantisation: str | None = None
    context_length: int | None = None
    size_bytes: int = 0
    needed_bytes: int | None = None
    tier: str | None = None
    fits: bool | None = None
    fault: str | None = None


class DiscoveredList(BaseModel):
    """`complete`: every place was looked at in time."""

    models: list[DiscoveredModel]
    complete: bool


class OwnModel(BaseModel):
    """One of hub.yaml. `model_type` null: neither it nor what was found says.

    `found`: what lies on disk of it; null: nothing was found, or it comes with mlxhub.
    """

    name: str
    model_type: ModelType | None
    model_path: str | None
    port: int
    aliases: list[str]
    group: str | None
    default: bool
    found: DiscoveredModel | None


class OwnModels(BaseModel):
    models: list[OwnModel]


class DiscoveredView(DiscoveredList):
    """`scanned_at`: Unix seconds of the end of the last look; null: none was done. `error`: why it failed."""

    scanned_at: float | None
    scanning: bool
    error: str | None


class PullState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class PullView(BaseModel):
    """`total_bytes`: null until it is known; `bytes_per_second`: also while it does not run.

    `code` says in a word why it failed, `error` more.
    """

    id: str
    model: str
    state: PullState
    done_bytes: int | None = None
    total_bytes: int | None = None
    bytes_per_second: int | None = None
    code: str | None = None
    error: str | None = None


class PullList(BaseModel):
    """Of the controller's life, the newest first."""

    pulls: list[PullView]


class PulledModel(BaseModel):
    """What `models pull` brought."""

    model: str
    commit: str
    directory: str
    size_bytes: int


class PullModel(BaseModel):
    """`model`: a repo id."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field(min_length=1, max_length=200)


class EnableModel(BaseModel):
    """`model`: a repo id, a directory, or an entry of hub.yaml that is a comment. `name` null: by its own."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field(min_length=1, max_length=4096)
    name: str | None = Field(None, max_length=63)


class DisableModel(BaseModel):
    model_config = ConfigDict(extra="forbid")

    model: str = Field(min_length=1, max_length=63)
