"""The one place that runs launchctl.

Exit codes of verbs that change something are hints: what `print` says afterwards is the truth.
"""

import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mlxhub.core.lifecycle import STOP_SECONDS, ProcessState
from mlxhub.core.observed import AgentState
from mlxhub.errors import LaunchctlFailed, LaunchctlTimeout, NoSession
from mlxhub.launchd.printed import parse_print

CALL_SECONDS = 30.0
BOOTSTRAP_ATTEMPTS = 10
RETRY_SECONDS = 1.0
POLL_SECONDS = 0.1
START_SECONDS = 15.0
BOOTOUT_SECONDS = STOP_SECONDS + 10.0

_NO_SERVICE = 113
_NO_DOMAIN = frozenset({112, 125})


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
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._command = command
        self._domain = f"gui/{uid}"
        self._environment = dict(environment) | {"LC_ALL": "C"}
        self._no_session_hint = no_session_hint
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

    def bootstrap(self, plist: Path, label: str, generation: str) -> None:
        """While an old instance of the label leaves, bootstrap fails with varying codes: try again."""
        reply = Reply(0, "", "")
        for attempt in range(BOOTSTRAP_ATTEMPTS):
            if attempt:
                self._pause(RETRY_SECONDS)
            reply = self._call("bootstrap", self._domain, str(plist))
            state = self.inspect(label)
            if state.loaded and state.generation in (generation, None):
                return
        raise self._failed(f"launchctl bootstrap of {plist}", reply, label)

    def bootout(self, label: str) -> None:
        reply = self._call("bootout", self._target(label))
        gone = self._wait(lambda: not self.inspect(label).loaded, BOOTOUT_SECONDS)
        if not gone:
            raise self._failed(f"launchctl bootout of {label}", reply, label)

    def kickstart(self, label: str) -> None:
        before = self.inspect(label)
        reply = self._call("kickstart", self._target(label))

        def started() -> bool:
            state = self.inspect(label)
            ran_and_ended = state.runs is not None and before.runs is not None and state.runs > before.runs
            return state.pid is not None or ran_and_ended or state.process is ProcessState.FAILED

        if not before.loaded or not self._wait(started, START_SECONDS):
            raise self._failed(f"launchctl kickstart of {label}", reply, label)

    def kill(self, label: str, signal: str) -> None:
        self._call("kill", signal, self._target(label))

    def enable(self, label: str) -> None:
        self._call("enable", self._target(label))

    def _target(self, label: str) -> str:
        return f"{self._domain}/{label}"

    def _call(self, *arguments: str) -> Reply:
        try:
            done = subprocess.run(
                [*self._command, *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=CALL_SECONDS,
                env=self._environment,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise LaunchctlTimeout(f"launchctl {' '.join(arguments)}", CALL_SECONDS) from error
        except OSError as error:
            raise LaunchctlFailed(f"Running {self._command[0]}", error.errno or -1, str(error)) from error
        return Reply(done.returncode, done.stdout, done.stderr)

    def _wait(self, fact: Callable[[], bool], seconds: float) -> bool:
        deadline = self._clock() + seconds
        while not fact():
            if self._clock() >= deadline:
                return False
            self._pause(POLL_SECONDS)
        return True

    def _failed(self, what: str, reply: Reply, label: str) -> LaunchctlFailed:
        state = self.inspect(label)
        seen = f"launchd now says {label} is {state.process}"
        last = f", last end: {state.last_exit}" if state.last_exit else ""
        return LaunchctlFailed(what, reply.code, f"{reply.errors.strip()} {seen}{last}.".strip())
