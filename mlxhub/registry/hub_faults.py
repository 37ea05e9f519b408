"""What can go wrong between this machine and a hub of models, as people read it."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

AGAIN = "What has come is kept; the same command goes on from there."
_FULL = (errno.ENOSPC, errno.EDQUOT)
# The first that fits; each of huggingface_hub's is narrower than those below it.
_FAULTS: tuple[tuple[type[Exception], str, str], ...] = (
    (HFValidationError, "not_found", '"{repo}" is no repo id, such as mlx-community/Qwen3-4B-4bit.'),
    (OfflineModeIsEnabled, "offline", "HF_HUB_OFFLINE is set: nothing is pulled."),
    (
        GatedRepoError,
        "gated",
        "{repo} asks for consent: give it on its page, then log in with: hf auth login",
    ),
    (
        RepositoryNotFoundError,
        "not_found",
        "There is no {repo}, or it is private: then log in with: hf auth login",
    ),
)


class Failed(Exception):
    """Its text is for people, its code for programs."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@contextmanager
def told_as_faults_of(repo: str) -> Iterator[None]:
    """What the server and the network do."""
    try:
        yield
    except Exception as error:
        raise _fault(error, repo) from error


@contextmanager
def told_as_disk_faults() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _disk_fault(error) from error


def _fault(error: Exception, repo: str) -> Failed:
    for kind, code, message in _FAULTS:
        if isinstance(error, kind):
            return Failed(code, message.format(repo=repo))
    what = str(error).partition("\n")[0].strip().rstrip(".")[:200] or type(error).__name__
    match error:
        case Failed():
            return error
        case HfHubHTTPError():
            return Failed("server", f"The server answered {error.response.status_code} for {repo}. {AGAIN}")
        case OSError(errno=number, filename=file) if number in _FULL or file is not None:
            return _disk_fault(error)
        case OSError():
            return Failed("broken_off", f"Not all of {repo} came: {what}. {AGAIN}")
        case _:
            return Failed("network", f"{repo} could not be reached: {what}. {AGAIN}")


def _disk_fault(error: OSError) -> Failed:
    if error.errno in _FULL:
        return Failed("disk_full", f"The disk of the cache is full. Make room there. {AGAIN}")
    return Failed(
        "disk", f"{error.filename or 'The cache'} cannot be written: {error.strerror or error}. {AGAIN}"
    )
