"""Where everything of one hub lies. Which directories these are is decided in files/machine.py."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

SUPERVISOR_LOG = "launchd.log"
# A socket's address may have 103 bytes on macOS, and 107 on Linux.
_SOCKET_BYTES = 103


@dataclass(frozen=True, slots=True)
class RunFiles:
    """What tells what became of one process: a model's, or the controller's.

    `runs`: when it was started, and how it ended. `parked`: why it stays down, the first line for people in a
    hurry, then the evidence; absent: it may run.
    """

    name: str
    runs: Path
    parked: Path
    log: Path

    @property
    def lock(self) -> Path:
        """Held by the process for as long as it is there. Never removed: two could hold two."""
        return self.runs.with_suffix(".lock")

    @property
    def flight(self) -> Path:
        """What a model's process is doing, for whoever asks after its death."""
        return self.runs.with_suffix(".flight")

    @property
    def suspects(self) -> Path:
        """Requests that were in flight when it died."""
        return self.runs.with_suffix(".suspects")

    @property
    def last_words(self) -> Path:
        return last_words_beside(self.log)


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
        return last_words_beside(self.log(name))

    def runs(self, name: str) -> Path:
        return self.state / "runs" / f"{name}.json"

    def parked(self, name: str) -> Path:
        return self.state / "parked" / f"{name}.txt"

    @property
    def prompts(self) -> Path:
        """What models have read of prompts: as private as they are."""
        return self.state / "prompts"

    def stored_prompts(self, name: str) -> Path:
        return self.prompts / name

    @property
    def images(self) -> Path:
        """What models have drawn within the hour."""
        return self.state / "images"

    def kept_images(self, name: str) -> Path:
        return self.images / name

    def run_files(self, name: str) -> RunFiles:
        return RunFiles(name=name, runs=self.runs(name), parked=self.parked(name), log=self.log(name))

    def launcher(self, role: str) -> Path:
        """What a plist starts; its name is what macOS lists under Login Items. `role`: worker, controller."""
        return self.programs / f"mlxhub-{role}"

    @property
    def generations(self) -> Path:
        """What was applied, the last few times."""
        return self.state / "generations"

    @property
    def replaced(self) -> Path:
        """Copies of files that somebody else wrote or edited, and that had to make room."""
        return self.state / "replaced"

    @property
    def working_directory(self) -> Path:
        """Kept empty: model loaders take a relative path that exists for a model."""
        return self.state / "empty"

    @property
    def ports(self) -> Path:
        return self.state / "ports.json"

    @property
    def discovered(self) -> Path:
        """What was found of models on this machine's disks, so that it need not be read again."""
        return self.state / "discovered.json"

    @property
    def connections(self) -> Path:
        """What was written into the settings of clients, and what stood there before."""
        return self.state / "connections.json"

    @property
    def limits(self) -> Path:
        """What hub.yaml says of memory and groups, for workers."""
        return self.state / "limits.json"

    @property
    def locks(self) -> Path:
        """By which workers take what they may."""
        return self.state / "locks"

    @property
    def manifest(self) -> Path:
        return self.state / "manifest.json"

    @property
    def lock(self) -> Path:
        return self.state / "hub.lock"

    @property
    def keys(self) -> Path:
        return self.state / "keys"

    @property
    def browser_page(self) -> Path:
        """What a browser is given to open: it leads on to the dashboard."""
        return self.state / "open.html"

    @property
    def socket(self) -> Path:
        """The controller's own socket: who may open its directory needs no key. Short, whatever the home."""
        own = self.state / "run" / "hub.sock"
        if len(bytes(own)) <= _SOCKET_BYTES:
            return own
        return Path("/tmp") / f"mlxhub-{hashlib.sha256(bytes(own)).hexdigest()[:16]}" / "hub.sock"  # noqa: S108 - checked by who uses it

    @property
    def supervisor_log(self) -> Path:
        return self.logs / SUPERVISOR_LOG


def last_words_beside(log: Path) -> Path:
    """launchd's file for the program that writes this log."""
    return log.parent / "stdio" / log.name


def expand_home(path: str, home: Path) -> Path:
    """`~` and `~/…` as a shell would read them, since launchd would not; the rest is relative to home."""
    return (
        home / path.removeprefix("~").removeprefix("/")
        if path == "~" or path.startswith("~/")
        else home / path
    )


def file_location(path: str, *, home: Path, base: Path) -> str:
    """An absolute path; what does not begin with `/` or `~` is relative to `base`, where hub.yaml lies."""
    return str(expand_home(path, home) if path.startswith("~") else base / path)


def model_location(model_path: str, *, home: Path, base: Path) -> str:
    """An absolute path for what looks like one (`/`, `~`, `.`; relative to `base`, where hub.yaml lies).

    Anything else names a model rather than a place: a Hugging Face repo id, or one that mlxhub brings along.
    """
    if model_path.startswith("~"):
        return str(expand_home(model_path, home))
    if model_path.startswith(("/", ".")):
        return str(base / model_path)
    return model_path
