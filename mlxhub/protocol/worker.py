"""What a worker says of itself: `GET /status`, the truth that the controller reads, and `GET /identity/…`."""

from pydantic import BaseModel, ConfigDict

from mlxhub.core.lifecycle import ModelState
from mlxhub.core.model_type import ModelType


class BatchStatus(BaseModel):
    """Rows decoding together now, the most there may be, and the most there were since the load.

    `one_at_a_time`: why the model that is loaded cannot decode several together.
    """

    rows: int
    max_rows: int
    peak_rows: int
    one_at_a_time: str | None = None


class PromptCacheStatus(BaseModel):
    """What is kept of prompts that were read."""

    entries: int = 0
    used_bytes: int = 0


class MemoryStatus(BaseModel):
    """`footprint_bytes` is the whole process as its system counts it, or what MLX has, where that is more.

    `peak_bytes` is the most of it since the last load began, looked at each second. The others are MLX's.
    """

    footprint_bytes: int
    peak_bytes: int = 0
    mlx_active_bytes: int = 0
    mlx_peak_bytes: int = 0


class ReservationStatus(BaseModel):
    """What it holds of what its hub's models may take. `is_waiting`: while another model is loaded.

    `needed_bytes`: what it would reserve, as it was found at its last load; 0: none was begun.
    """

    has_seat: bool = False
    reserved_bytes: int = 0
    needed_bytes: int = 0
    is_waiting: bool = False


class CounterStatus(BaseModel):
    """Since the process started. `cached_tokens` of the prompts' did not have to be read."""

    requests: int = 0
    completed: int = 0
    cancelled: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0


class ProgressStatus(BaseModel):
    """Of what is being drawn."""

    done_steps: int
    total_steps: int


class Identity(BaseModel):
    """`proof` as of `core.keys.make_proof`; empty where the worker belongs to no hub."""

    proof: str


class WorkerStatus(BaseModel):
    """Durations, not times: clocks of two processes are not compared."""

    model_config = ConfigDict(protected_namespaces=())

    name: str
    pid: int
    generation: str
    model_path: str | None
    model_type: ModelType
    model_status: ModelState
    error: str | None = None
    context_length: int | None = None
    in_flight: int = 0
    queued: int = 0
    batch: BatchStatus
    prompt_cache: PromptCacheStatus = PromptCacheStatus()
    memory: MemoryStatus
    reservation: ReservationStatus = ReservationStatus()
    progress: ProgressStatus | None = None
    counters: CounterStatus
    uptime_seconds: float
    load_seconds: float | None = None
    load_retry_in_seconds: float = 0.0
    idle_seconds: float | None = None
    unload_in_seconds: float | None = None
    draining: bool = False
    trust_remote_code: bool = False
