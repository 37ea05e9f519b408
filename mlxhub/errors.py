"""Everything that can go wrong, as one tree.

MlxhubError
├── ConfigError            hub.yaml has faults (all of them, with their lines)
├── LaunchdError
│   ├── PlanFailed         some agents could not be brought to what is wanted; the others were
│   ├── NoSession          there is no gui domain to run agents in
│   ├── LaunchctlTimeout   a call or the fact it should bring about took too long
│   ├── AgentDisabled      somebody switched it off with `launchctl disable`
│   └── LaunchctlFailed    the fact did not come about; carries what launchctl said
│       └── LoadingRefused launchd does not take or does not keep the definition
├── HubError
│   ├── ControllerDown     nothing answers on the controller's port
│   ├── StillUnderWay      the controller has not answered yet what it was asked to do
│   ├── LockTimeout        another mlxhub is changing the hub
│   ├── StateUnreadable    a file that mlxhub wrote is damaged
│   ├── StateUnwritable    a file or directory of ours cannot be made
│   ├── OpenAddress        others would reach the controller without a key
│   ├── HubYamlLeftAlone   what is wanted of hub.yaml cannot be, or only by hand
│   ├── SettingsLeftAlone  likewise of a client's settings
│   ├── PullFailed         a model did not come, or not all of it
│   ├── UnknownCheckpoint  no model of this name lies on this machine's disks
│   ├── PlanRefused        a file or a label in the way is not ours, or somebody edited it
│   ├── UnknownPull        no pull of this id is known, or not any more
│   ├── UnknownOperation   no operation of this id is known, or not any more
│   └── PortHeld           a stranger listens on a port of ours
├── ModelError
│   ├── UnknownModel       no such name or alias
│   ├── ModelNotRunning    its process is down and may not or could not be started
│   ├── ModelFailed        it is kept down until a person starts it
│   ├── WorkerSilent       its process does not answer
│   ├── LoadFailed         its weights could not be brought into memory
│   ├── LoadRefused        nothing is wrong with it, but it may not be loaded now
│   │   ├── GroupFull           as many of its group are in memory as may be
│   │   ├── InsufficientMemory  it would take more than memory_limit leaves
│   │   ├── LoadNotBegun        its turn to be loaded did not come
│   │   └── LimitsUnreadable    what it may take cannot be read
│   ├── NotLoaded          it is not in memory and may not be loaded on demand
│   ├── ModelChanging      it is being started or stopped, and that does not end
│   └── ModelBusy          it serves requests and was asked to go only if idle
└── RequestError           see refusals.py
"""

import re
from dataclasses import dataclass

_COULD_BE_A_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}")
# launchd says no word about this cause of a label that is not there.
LOGIN_ITEMS = "On a Mac: is mlxhub switched on under System Settings > General > Login Items & Extensions?"


class MlxhubError(Exception):
    """The root. Its text is for a person: what, where, what to do next. `evidence`: lines that show it."""

    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong in a file. `line` counts from 1; None where no single line is to blame."""

    source: str
    line: int | None
    message: str

    def __str__(self) -> str:
        place = self.source if self.line is None else f"{self.source}:{self.line}"
        return f"{place}: {self.message}"


class ConfigError(MlxhubError):
    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


class LaunchdError(MlxhubError):
    pass


class NoSession(LaunchdError):
    def __init__(self, domain: str, hint: str) -> None:
        super().__init__(f"launchd has no {domain} to run agents in. {hint}")
        self.domain = domain


class LaunchctlTimeout(LaunchdError):
    def __init__(self, what: str, seconds: float) -> None:
        super().__init__(f"{what} did not finish within {seconds:g} s.")
        self.what = what
        self.seconds = seconds


class AgentDisabled(LaunchdError):
    def __init__(self, label: str) -> None:
        super().__init__(
            f"{label} was switched off with `launchctl disable`, and only a person switches it on again: "
            "mlxhub install, or mlxhub start"
        )
        self.label = label


class LaunchctlFailed(LaunchdError):
    """Its evidence is what launchd says, and where to look further."""

    def __init__(self, what: str, code: int, reason: str, evidence: tuple[str, ...] = ()) -> None:
        super().__init__(f"{what} failed (launchctl said {code}). {reason}".rstrip())
        self.what = what
        self.code = code
        self.evidence = evidence


class LoadingRefused(LaunchctlFailed):
    def __init__(self, what: str, code: int, reason: str, evidence: tuple[str, ...] = ()) -> None:
        super().__init__(what, code, f"{reason} {LOGIN_ITEMS} Then run: mlxhub install".lstrip(), evidence)


class PlanFailed(LaunchdError):
    def __init__(self, failures: dict[str, MlxhubError]) -> None:
        super().__init__("\n".join(f"{label}: {failure}" for label, failure in failures.items()))
        self.failures = failures
        self.evidence = tuple(line for failure in failures.values() for line in failure.evidence)


class HubError(MlxhubError):
    pass


class ControllerDown(HubError):
    def __init__(self, url: str) -> None:
        super().__init__(
            f"The controller does not answer at {url}. Start it with: mlxhub start "
            "(if it hangs: mlxhub stop, then mlxhub start)"
        )
        self.url = url


class StillUnderWay(HubError):
    def __init__(self, what: str, seconds: float) -> None:
        super().__init__(
            f"The controller has not finished after {seconds:g} s: {what} is still under way, and goes on. "
            "Look with: mlxhub status"
        )
        self.what = what
        self.seconds = seconds


class LockTimeout(HubError):
    def __init__(self, path: str, seconds: float) -> None:
        super().__init__(
            f"Another mlxhub is changing this hub (it holds {path} for over {seconds:g} s). Try again later."
        )
        self.path = path


class StateUnreadable(HubError):
    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path} cannot be read: {reason}. Move it away and run: mlxhub install")
        self.path = path
        self.reason = reason


class StateUnwritable(HubError):
    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path} cannot be written: {reason}.")
        self.path = path
        self.reason = reason


class OpenAddress(HubError):
    def __init__(self, host: str) -> None:
        super().__init__(
            f"Nothing was started: other machines reach {host}, so say `api_key: required` in hub.yaml."
        )
        self.host = host


class HubYamlLeftAlone(HubError):
    pass


class SettingsLeftAlone(HubError):
    pass


class PullFailed(HubError):
    """`code`: not_found, gated, offline, not_a_model, disk_full, disk, corrupt, server, network, broken_off,
    busy, in_use or cancelled.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class UnknownCheckpoint(HubError):
    def __init__(self, wanted: str) -> None:
        super().__init__(f'There is no model "{wanted:.200}" on this machine. See: mlxhub models discover')


class PlanRefused(HubError):
    """`refusals`: why, by label. Nothing was touched."""

    def __init__(self, refusals: dict[str, str]) -> None:
        listed = "\n".join(f"{label}: {reason}" for label, reason in refusals.items())
        super().__init__(
            f"{listed}\nNothing was changed. Move what is yours away, or have it replaced (a copy of each "
            "file is kept) with: mlxhub apply --force"
        )
        self.refusals = refusals


class PortHeld(HubError):
    def __init__(self, port: int, pid: int | None, command: str | None) -> None:
        holder = f"pid {pid} ({command})" if pid is not None else "another process"
        super().__init__(
            f"Port {port} is held by {holder}. End that process, or give hub.yaml another port for this."
        )
        self.port = port
        self.pid = pid
        self.command = command


class UnknownPull(HubError):
    def __init__(self, pull_id: str) -> None:
        super().__init__(f"No pull {pull_id:.100} is known: the last are kept until the controller ends.")


class UnknownOperation(HubError):
    def __init__(self, operation_id: str) -> None:
        super().__init__(
            f"No operation {operation_id} is known: the last ones are kept until the controller ends."
        )
        self.operation_id = operation_id


class ModelError(MlxhubError):
    pass


class UnknownModel(ModelError):
    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        listed = ", ".join(known) if known else "none"
        # What a client sends is said back only where it could be a name: neither a path nor a megabyte.
        named = f' "{name}"' if _COULD_BE_A_NAME.fullmatch(name) else " of this name"
        super().__init__(f"There is no model{named} here. Models: {listed}.")
        self.name = name
        self.known = known


class ModelNotRunning(ModelError):
    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f'The process of model "{name}" is not running: {reason}')
        self.name = name
        self.reason = reason


class ModelFailed(ModelError):
    """`reason` is what the note that keeps it down begins with: what happened and what to do."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(reason)
        self.name = name
        self.reason = reason


class WorkerSilent(ModelError):
    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f'The worker of model "{name}" does not answer: {reason}')
        self.name = name
        self.reason = reason


class WorkerHangs(WorkerSilent):
    """It takes connections and does not answer in time."""


class LoadFailed(ModelError):
    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f'Model "{name}" could not be loaded: {reason}')
        self.name = name
        self.reason = reason


class LoadRefused(ModelError):
    """The next request may find that it is no longer so, at the earliest after `retry_after_seconds`."""

    def __init__(self, name: str, reason: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(f'Model "{name}" is not loaded now: {reason}')
        self.name = name
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds


class GroupFull(LoadRefused):
    """`loaded`: the models of it that are in memory."""

    def __init__(
        self,
        name: str,
        group: str,
        max_loaded: int,
        loaded: tuple[str, ...],
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(
            name,
            f'of its group "{group}" at most {max_loaded} may be in memory, and there is: '
            f"{', '.join(loaded)}. Unload one of them first.",
            retry_after_seconds,
        )
        self.group = group
        self.max_loaded = max_loaded
        self.loaded = loaded


class InsufficientMemory(LoadRefused):
    """`holders`: bytes by the name of the model that they are reserved for. `advice`: what to do about it."""

    def __init__(
        self, name: str, needed_bytes: int, limit_bytes: int, holders: dict[str, int], advice: str
    ) -> None:
        free = max(0, limit_bytes - sum(holders.values()))
        held = ", ".join(f"{holder} {size_text(size)}" for holder, size in holders.items()) or "nobody"
        super().__init__(
            name,
            f"it needs {size_text(needed_bytes)} of memory, and of the {size_text(limit_bytes)} that "
            f"memory_limit allows {size_text(free)} are free (held by: {held}). {advice}",
        )
        self.needed_bytes = needed_bytes
        self.free_bytes = free
        self.limit_bytes = limit_bytes
        self.holders = holders


class LoadNotBegun(LoadRefused):
    pass


class LimitsUnreadable(LoadRefused):
    """What is damaged, and where it lies, is for the log: HTTP clients read this."""

    def __init__(self, name: str) -> None:
        super().__init__(
            name,
            "what models may take here cannot be read, as its log says. Whoever runs this hub writes it anew "
            "with: mlxhub reload",
        )


class NotLoaded(ModelError):
    def __init__(self, name: str) -> None:
        super().__init__(
            f'Model "{name}" is not loaded, and hub.yaml says jit: false. '
            f"Load it with: mlxhub load-model {name}"
        )
        self.name = name


class ModelChanging(ModelError):
    def __init__(self, name: str, seconds: float) -> None:
        super().__init__(
            f'Model "{name}" was left as it is: it is being started, stopped or repaired, and that has not '
            f"ended within {seconds:g} s. Look with: mlxhub status"
        )
        self.name = name
        self.seconds = seconds


class ModelBusy(ModelError):
    def __init__(self, name: str, in_flight: int) -> None:
        super().__init__(f'Model "{name}" is serving {in_flight} request(s) and was left as it is.')
        self.name = name
        self.in_flight = in_flight


class RequestError(MlxhubError):
    """Its kinds stand in refusals.py."""


def size_text(count: int) -> str:
    """In decimal units, as memory is sold."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
