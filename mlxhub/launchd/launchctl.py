"""The one place that runs launchctl.

Exit codes of verbs that change something are hints: what `print` says afterwards is the truth.
"""

import plistlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.parsers.expat import ExpatError

from mlxhub.core.lifecycle import STOP_SECONDS, ProcessState
from mlxhub.core.observed import AgentState
from mlxhub.errors import AgentDisabled, LaunchctlFailed, LaunchctlTimeout, LoadingRefused, NoSession
from mlxhub.files.bounded_run import run_bounded
from mlxhub.files.log_reading import tail
from mlxhub.launchd.printed import parse_disabled, parse_print

CALL_SECONDS = 30.0
BOOTSTRAP_ATTEMPTS = 10
RETRY_SECONDS = 1.0
POLL_SECONDS = 0.1
START_SECONDS = 15.0
BOOTOUT_SECONDS = STOP_SECONDS + 10.0

_NO_SERVICE = 113
_NO_DOMAIN = frozenset({112, 125})
# With these a bootstrap may have worked, or may work in a second: the old instance is leaving.
_MAY_PASS = frozenset({0, 5, 17, 36, 37, 124, 133})
# The second one: it runs already.
_KICKSTARTED = frozenset({0, 37})
_SHOWN_FIELDS = ("state", "pid", "runs", "last exit code", "last terminating signal", "last exit reason")
_LAST_WORDS_LINES = 5


@dataclass(frozen=True, slots=True)
class Reply:
    code: int
    output: str
    errors: str


class Launchctl:
    """Implements `launchd.contract.Launchd` for the gui domain of one user.

    `command` is the argv that begins every call: /bin/launchctl, or the stand-in's client.
    """

    def __init__(
        self,
        command: tuple[str, ...],
        *,
        uid: int,
        environment: Mapping[str, str],
        no_session_hint: str,
        log_hint: str,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._command = command
        self._domain = f"gui/{uid}"
        self._environment = dict(environment) | {"LC_ALL": "C"}
        self._no_session_hint = no_session_hint
        self._log_hint = log_hint
        self._clock = clock
        self._pause = pause

    def has_session(self) -> bool:
        return self._call("print", self._domain).code == 0

    def require_session(self) -> None:
        if not self.has_session():
            raise NoSession(self._domain, self._no_session_hint)

    def inspect(self, label: str) -> AgentState:
        reply = self._call("print", self._target(label))
        if reply.code == 0:
            return parse_print(reply.output, label)
        if reply.code == _NO_SERVICE:
            return AgentState(label=label, process=ProcessState.NOT_INSTALLED)
        if reply.code in _NO_DOMAIN:
            raise NoSession(self._domain, self._no_session_hint)
        return AgentState(label=label, process=ProcessState.UNKNOWN)

    def disabled_labels(self) -> frozenset[str]:
        said = parse_disabled(self._call("print-disabled", self._domain).output)
        return frozenset(label for label, disabled in said.items() if disabled)

    def bootstrap(self, plist: Path, label: str, generation: str) -> None:
        """While an old instance of the label leaves, bootstrap fails with varying codes: try again."""
        reply = Reply(0, "", "")
        state = AgentState(label=label, process=ProcessState.UNKNOWN)
        for attempt in range(BOOTSTRAP_ATTEMPTS):
            if attempt:
                self._pause(RETRY_SECONDS)
            reply = self._call("bootstrap", self._domain, str(plist))
            state = self.inspect(label)
            if state.loaded and state.generation in (generation, None):
                return
            if not state.loaded and label in self.disabled_labels():
                raise AgentDisabled(label)
            if reply.code not in _MAY_PASS:
                break
        failure = LaunchctlFailed if state.loaded else LoadingRefused
        raise self._failed(f"launchctl bootstrap of {plist}", reply, label, plist, failure)

    def bootout(self, label: str) -> None:
        before = self.inspect(label)
        reply = self._call("bootout", self._target(label))
        gone = self._wait(lambda: not self.inspect(label).loaded, BOOTOUT_SECONDS)
        if not gone:
            raise self._failed(f"launchctl bootout of {label}", reply, label, _path(before))

    def kickstart(self, label: str) -> None:
        """A job that is throttled starts later: the call, or the wait after it, lasts until then."""
        before = self.inspect(label)
        try:
            reply = self._call("kickstart", self._target(label))
        except LaunchctlTimeout as timeout:
            reply = Reply(-1, "", str(timeout))

        def started() -> bool:
            state = self.inspect(label)
            if state.process is ProcessState.UNKNOWN and reply.code in _KICKSTARTED:
                return True  # nothing more is to be had of launchd; whoever needs the process asks it
            ran_and_ended = state.runs is not None and before.runs is not None and state.runs > before.runs
            return state.pid is not None or ran_and_ended or state.process is ProcessState.FAILED

        if not before.loaded or not self._wait(started, START_SECONDS):
            failure = LaunchctlFailed if self.inspect(label).loaded else LoadingRefused
            raise self._failed(f"launchctl kickstart of {label}", reply, label, _path(before), failure)

    def kill(self, label: str, signal: str) -> None:
        self._call("kill", signal, self._target(label))

    def enable(self, label: str) -> None:
        self._call("enable", self._target(label))

    def _target(self, label: str) -> str:
        return f"{self._domain}/{label}"

    def _call(self, *arguments: str) -> Reply:
        try:
            done = run_bounded([*self._command, *arguments], CALL_SECONDS, environment=self._environment)
        except OSError as error:
            raise LaunchctlFailed(f"Running {self._command[0]}", error.errno or -1, str(error)) from error
        if done.code is None:
            raise LaunchctlTimeout(f"launchctl {' '.join(arguments)}", CALL_SECONDS)
        return Reply(done.code, done.output.decode(errors="replace"), done.errors.decode(errors="replace"))

    def _wait(self, fact: Callable[[], bool], seconds: float) -> bool:
        deadline = self._clock() + seconds
        while not fact():
            if self._clock() >= deadline:
                return False
            self._pause(POLL_SECONDS)
        return True

    def _failed(
        self,
        what: str,
        reply: Reply,
        label: str,
        plist: Path | None,
        failure: type[LaunchctlFailed] = LaunchctlFailed,
    ) -> LaunchctlFailed:
        printed = self._call("print", self._target(label))
        state = self.inspect(label)
        last = f", last end: {state.last_exit}" if state.last_exit else ""
        fields = [line.strip() for line in printed.output.splitlines() if _is_shown(line)]
        evidence = [f"launchctl: {line}" for line in reply.errors.splitlines()]
        evidence += [f"launchctl print: {line}" for line in fields or printed.errors.splitlines()]
        if label in self.disabled_labels():
            evidence.append(f"launchctl print-disabled: {label} => disabled")
        evidence += [f"its last words: {line}" for line in _last_words(plist)]
        evidence.append(f"launchd's own log: {self._log_hint}")
        return failure(
            what, reply.code, f"launchd now says {label} is {state.process}{last}.", tuple(evidence)
        )


def _path(state: AgentState) -> Path | None:
    return None if state.plist_path is None else Path(state.plist_path)


def _is_shown(line: str) -> bool:
    return line.startswith("\t") and line[1:].startswith(tuple(f"{field} = " for field in _SHOWN_FIELDS))


def _last_words(plist: Path | None) -> list[str]:
    """What the process last wrote to its stderr, as far as anybody can tell where that is."""
    try:
        path = plistlib.loads(plist.read_bytes())["StandardErrorPath"] if plist else None
    except (OSError, ValueError, KeyError, TypeError, ExpatError):
        return []
    return tail(Path(path), _LAST_WORDS_LINES) if isinstance(path, str) else []
