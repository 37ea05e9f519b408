"""The states of processes and of models in memory."""

from enum import StrEnum


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
