"""Where everything of one hub lies. Which directories these are is decided in files/machine.py."""

from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Paths:
    """All absolute. `supervisor` is the stand-in's directory; a Mac has none of its files.

    `programs` holds the executables that plists name, at places that no upgrade moves.
    """

    config: Path
    state: Path
    logs: Path
    agents: Path
    programs: Path
    supervisor: Path

    def with_logs(self, log_path: str | None, home: Path) -> "Paths":
        """The log directory that hub.yaml names, if it names one."""
        return self if log_path is None else replace(self, logs=expand_home(log_path, home))

    def plist(self, label: str) -> Path:
        return self.agents / f"{label}.plist"

    def log(self, name: str) -> Path:
        """The rotated log of a model or of the controller."""
        return self.logs / f"{name}.log"

    def last_words(self, name: str) -> Path:
        """Where launchd puts stdout and stderr: tracebacks of a process that could not even log."""
        return self.logs / "stdio" / f"{name}.log"

    def runs(self, name: str) -> Path:
        """When a model's process (or the controller) was started, and how it ended."""
        return self.state / "runs" / f"{name}.json"

    def parked(self, name: str) -> Path:
        """Why it stays down: the first line for people in a hurry, then the evidence. Absent: it may run."""
        return self.state / "parked" / f"{name}.txt"

    @property
    def generations(self) -> Path:
        """What was applied, the last few times."""
        return self.state / "generations"

    @property
    def working_directory(self) -> Path:
        """Kept empty: model loaders take a relative path that exists for a model."""
        return self.state / "empty"

    @property
    def ports(self) -> Path:
        return self.state / "ports.json"

    @property
    def manifest(self) -> Path:
        return self.state / "manifest.json"

    @property
    def lock(self) -> Path:
        return self.state / "hub.lock"

    @property
    def supervisor_log(self) -> Path:
        return self.logs / "launchd.log"


def expand_home(path: str, home: Path) -> Path:
    """`~` and `~/…` as a shell would read them, since launchd would not; the rest is relative to home."""
    return (
        home / path.removeprefix("~").removeprefix("/")
        if path == "~" or path.startswith("~/")
        else home / path
    )


def model_location(model_path: str, *, home: Path, base: Path) -> str:
    """An absolute path for what looks like one (`/`, `~`, `.`; relative to `base`, where hub.yaml lies).

    Anything else names a model rather than a place: a Hugging Face repo id, or one that mlxhub brings along.
    """
    if model_path.startswith("~"):
        return str(expand_home(model_path, home))
    if model_path.startswith(("/", ".")):
        return str(base / model_path)
    return model_path
