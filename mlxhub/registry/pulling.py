"""Models from a hub into the Hugging Face cache, and out of it again, by a program of its own."""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mlxhub.errors import PullFailed
from mlxhub.files.child_lines import ChildLines

_PROGRAM = (sys.executable, "-I", "-m", "mlxhub.registry.hub_program")
# It retries five times, and a server has ten seconds each time.
_SILENCE_SECONDS = 180.0
# As huggingface_hub has it, without a look at the network.
_REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_QUIET = {
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    # Its downloads cannot be gone on with.
    "HF_HUB_DISABLE_XET": "1",
}
# Of whoever asks for a pull the program gets this and no keys of other things.
_HANDED_ON = re.compile(
    r"HF_.*|HUGGING_FACE_HUB_TOKEN|HOME|PATH|LANG|TZ|TMPDIR|XDG_CACHE_HOME|(DY)?LD_(FALLBACK_)?LIBRARY_PATH"
    r"|(https?|all|no)_proxy|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE",
    re.IGNORECASE,
)
_AGAIN = "What has come is kept; the same command goes on from there."


@dataclass(frozen=True, slots=True)
class Planned:
    """`have_bytes`: from an earlier time."""

    commit: str
    files: int
    total_bytes: int
    have_bytes: int


@dataclass(frozen=True, slots=True)
class Came:
    """How many of all bytes are there."""

    done_bytes: int


@dataclass(frozen=True, slots=True)
class Checking:
    file: str


@dataclass(frozen=True, slots=True)
class Pulled:
    directory: str


PullNews = Planned | Came | Checking | Pulled


def require_repo_id(repo: str) -> None:
    """Raises PullFailed."""
    if not _REPO.fullmatch(repo) or ".." in repo or "--" in repo:
        raise PullFailed("not_found", f'"{repo:.200}" is no repo id, such as mlx-community/Qwen3-4B-4bit.')


class Pull:
    """One at work. Iterate it in one thread; `cancel` from any."""

    def __init__(self, repo: str, cache: Path, environment: Mapping[str, str]) -> None:
        """Raises PullFailed."""
        require_repo_id(repo)
        self._repo = repo
        self._child = _start(("pull", repo, str(cache)), environment)
        self.is_cancelled = False

    def __iter__(self) -> Iterator[PullNews]:
        """The last one is Pulled. Raises PullFailed."""
        try:
            for line in self._child:
                key, said = next(iter(json.loads(line).items()))
                match key:
                    case "plan":
                        yield Planned(said["commit"], said["files"], said["bytes"], said["have"])
                    case "bytes":
                        yield Came(said)
                    case "checking":
                        yield Checking(said)
                    case "done":
                        yield Pulled(said)
                        return
                    case "failed":
                        raise PullFailed(said["code"], said["message"])
        finally:
            self._child.end()
        if self.is_cancelled:
            raise PullFailed("cancelled", f"The pull of {self._repo} was cancelled. {_AGAIN}")
        what = "made no progress" if self._child.is_late else "ended unexpectedly"
        raise PullFailed("broken_off", f"The pull of {self._repo} {what}. {_AGAIN}")

    def cancel(self) -> None:
        self.is_cancelled = True
        self._child.cancel()


def pulling_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What of this one says where the hub and the cache are, and how they are reached."""
    return {name: value for name, value in environment.items() if _HANDED_ON.fullmatch(name)} | _QUIET


def remove_from_cache(repo: str, cache: Path, environment: Mapping[str, str]) -> int:
    """Bytes that are free again. Raises PullFailed."""
    require_repo_id(repo)
    child = _start(("remove", repo, str(cache)), environment)
    try:
        for line in child:
            said = json.loads(line)
            if failed := said.get("failed"):
                raise PullFailed(failed["code"], failed["message"])
            return int(said["done"])
    finally:
        child.end()
    raise PullFailed("broken_off", f"Removing {repo} ended unexpectedly. Try again.")


def _start(arguments: tuple[str, ...], environment: Mapping[str, str]) -> ChildLines:
    try:
        return ChildLines(
            (*_PROGRAM, *arguments),
            environment=pulling_environment(environment),
            silence_seconds=_SILENCE_SECONDS,
        )
    except OSError as error:
        raise PullFailed("broken_off", f"The program that pulls does not start: {error}.") from error
