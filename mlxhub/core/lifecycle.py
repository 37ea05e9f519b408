"""The states of processes and of models in memory."""

from enum import StrEnum

# How a worker ends when it is asked to: it drains, cancels what is left and waits for that, stops the engine.
DRAIN_SECONDS = 25.0
CANCEL_SECONDS = 3.0
ENGINE_STOP_SECONDS = 10.0
# The longest clean end (25 + 3 + 3 + 10) with some slack. launchd kills after this; it clamps at 60.
STOP_SECONDS = 45.0
# Models are loaded one at a time: so long one waits for its turn, and then it may take as long again.
TURN_SECONDS = 600.0
LOAD_SECONDS = 2 * TURN_SECONDS


class ProcessState(StrEnum):
    """What launchd knows of a model's process."""

    NOT_INSTALLED = "not_installed"
    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    THROTTLED = "throttled"
    FAILED = "failed"
    UNKNOWN = "unknown"


class ModelState(StrEnum):
    """What the worker knows of its weights. A failed load is UNLOADED with an error."""

    UNLOADED = "unloaded"
    LOADING = "loading"
    READY = "ready"
    UNLOADING = "unloading"
