"""What a scenario can do to a launchd, and see of it; the same for the stand-in and for a Mac's own."""

import ast
import os
import plistlib
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tests.conformance.answers import Answer, Answers
from tests.conformance.probe import CLOCK

PROBE = Path(__file__).with_name("probe.py")
DOMAIN = f"gui/{os.getuid()}"
# A loaded machine may be this late, in real seconds, before a scenario calls it wrong.
PATIENCE_SECONDS = 4.0
LATENESS_SECONDS = 1.0
# Starts are known to a hundredth of a real second.
TICK_SECONDS = 0.011

_Value = TypeVar("_Value")


class NotPossibleHereError(Exception):
    """This launchd cannot be asked that, and why."""


class StoppedError(Exception):
    """The run is over, and this scenario was not done."""


@dataclass(frozen=True, slots=True)
class Outcome:
    rc: int
    stdout: str = ""
    stderr: str = ""


@dataclass(slots=True)
class Launchd:
    """One launchd to ask. `restart` is a logout and a login.

    `prefix` begins every label but those that get disabled: these keep an entry in launchd's database for
    ever, so `lasting_prefix` begins them in every run.
    """

    ask: Callable[[Sequence[str]], Outcome]
    command: tuple[str, ...]  # launchctl, for a job that runs it
    environment: Mapping[str, str]  # which such a job needs
    scale: float  # launchd seconds in a real one
    prefix: str
    lasting_prefix: str
    directory: Path  # of the plists; the stand-in loads it at login
    poll_seconds: float = 0.1  # real ones; asking costs a Mac a process
    journal: Path | None = None  # the stand-in's log
    restart: Callable[[float], None] | None = None
    written: set[str] = field(default_factory=set)  # every label, so that all can be removed
    over: threading.Event = field(default_factory=threading.Event)  # set: no scenario may do more

    def log_in_again(self, delay: float = 0) -> None:
        """Log out and in; spawns that nobody asked for come `delay` launchd seconds after that."""
        if self.restart is None:
            raise NotPossibleHereError("it needs a logout, which would end the session that runs this")
        self.restart(delay)


@dataclass(frozen=True, slots=True)
class Printed:
    """What `launchctl print` said of one job."""

    rc: int
    first_line: str
    fields: dict[str, str]  # at one tab of indent, in their order
    arguments: tuple[str, ...]

    @property
    def state(self) -> str | None:
        return self.fields.get("state")

    @property
    def pid(self) -> int | None:
        return int(self.fields["pid"]) if "pid" in self.fields else None

    @property
    def loaded(self) -> bool:
        return self.rc == 0


@dataclass(frozen=True, slots=True)
class Start:
    at: float  # launchd seconds, as Case.now
    pid: int
    pgid: int
    argv: list[str]
    cwd: str
    environment: dict[str, str]
    stdin: bytes
    umask: int
    open_files: int
    children: dict[str, int]


class Case:
    """One run of one scenario: its jobs, its clock and what it saw. Times are launchd seconds."""

    def __init__(self, launchd: Launchd, number: int, answers: Answers, *, disables: bool) -> None:
        self.launchd = launchd
        self.number = number
        prefix = launchd.lasting_prefix if disables else launchd.prefix
        self.label = f"{prefix}.{number}"
        self.lateness = LATENESS_SECONDS * launchd.scale
        self.tick = TICK_SECONDS * launchd.scale
        self._answers = answers

    def job(self, *behaviour: str, name: str = "", **keys: object) -> "Job":
        """Write a plist whose program is the probe, unless the keys say otherwise; None leaves a key out."""
        self.pause(0)
        job = Job(self, f"{self.label}{name and '.' + name}")
        job.write(*behaviour, **keys)
        return job

    def saw(self, behaviour: str, answer: Answer) -> None:
        """Record one answer to an uncertain behaviour; an answer that nobody has reported is a failure."""
        self._answers.take(behaviour, answer)

    def launchctl(self, *argv: str) -> Outcome:
        self.pause(0)
        return self.launchd.ask(argv)

    def now(self) -> float:
        return time.clock_gettime(CLOCK) * self.launchd.scale

    def sleep(self, seconds: float) -> None:
        self.pause(seconds / self.launchd.scale)

    def pause(self, real_seconds: float) -> None:
        """Every step of a scenario comes by here. Raises StoppedError once the run is over."""
        if self.launchd.over.wait(real_seconds):
            raise StoppedError(f"scenario {self.number} was stopped")

    def until(self, fact: Callable[[], _Value], within: float) -> _Value:
        deadline = time.monotonic() + within / self.launchd.scale + PATIENCE_SECONDS
        pause = 0.01
        while not (value := fact()):
            assert time.monotonic() < deadline, f"not within {within} s"
            self.pause(pause)
            pause = min(self.launchd.poll_seconds, pause * 1.5)
        return value

    def stays(self, fact: Callable[[], object], during: float) -> None:
        end = self.now() + during
        while self.now() < end:
            assert fact(), f"not for {during} s"
            self.pause(self.launchd.poll_seconds)

    def ends_between(self, fact: Callable[[], object], since: float, earliest: float, latest: float) -> None:
        """The fact holds until some moment that lies so many seconds after `since`.

        A late observer may not blame launchd: earliest is held against when the fact was first seen
        gone, latest against when it was last seen.
        """
        last_seen = since
        while fact():
            last_seen = self.now()
            assert last_seen <= since + latest + self.lateness, f"still so after {last_seen - since:.1f} s"
            self.pause(0.05)
        gone = self.now()
        assert gone >= since + earliest, f"over after {gone - since:.1f} s already"


class Job:
    """One label: its plist, what launchctl does to it, and what its process wrote down."""

    def __init__(self, case: Case, label: str) -> None:
        self.case = case
        self.label = label
        self.target = f"{DOMAIN}/{label}"
        self.path = case.launchd.directory / f"{label}.plist"
        self.log = case.launchd.directory / f"{label}.log"
        case.launchd.written.add(label)

    def write(self, *behaviour: str, **keys: object) -> None:
        arguments = [sys.executable, "-I", "-S", str(PROBE), f"log={self.log}", *map(self._real, behaviour)]
        document = {
            "Label": self.label, "ProgramArguments": arguments, "ProcessType": "Interactive",
            "ThrottleInterval": 10, "ExitTimeOut": 10,
        } | keys  # fmt: skip
        text = plistlib.dumps({key: value for key, value in document.items() if value is not None})
        self.path.write_bytes(text)
        self.path.chmod(0o644)

    def _real(self, word: str) -> str:
        """The probe knows real seconds only."""
        if not word.startswith("after="):
            return word
        return f"after={float(word.removeprefix('after=')) / self.case.launchd.scale}"

    def bootstrap(self) -> Outcome:
        return self.case.launchctl("bootstrap", DOMAIN, str(self.path))

    def bootout(self) -> Outcome:
        return self.case.launchctl("bootout", self.target)

    def kickstart(self, *flags: str) -> Outcome:
        return self.case.launchctl("kickstart", *flags, self.target)

    def kill(self, name: str) -> Outcome:
        return self.case.launchctl("kill", name, self.target)

    def print(self) -> Printed:
        outcome = self.case.launchctl("print", self.target)
        lines = outcome.stdout.splitlines() or [""]
        fields: dict[str, str] = {}
        arguments: list[str] = []
        block = ""
        for line in lines[1:]:
            name, separator, value = line.removeprefix("\t").partition(" = ")
            if line.startswith("\t\t"):
                if block == "arguments":
                    arguments.append(line[2:])
            elif separator and value == "{":
                block = name
            elif separator:
                fields.setdefault(name, value)
        return Printed(outcome.rc, lines[0], fields, tuple(arguments))

    def await_unloaded(self, within: float = 1) -> None:
        self.case.until(lambda: self.print().rc == 113, within)

    def starts(self) -> list[Start]:
        return [Start(at * self.case.launchd.scale, **facts) for at, facts in self._events("started")]

    def ends(self) -> list[float]:
        """When the process ended by itself; a signal's end is not among them."""
        return [at * self.case.launchd.scale for at, _ in self._events("ended")]

    def await_start(self, number: int = 1, within: float = 1) -> Start:
        self.case.until(lambda: len(self.starts()) >= number, within)
        return self.starts()[number - 1]

    def await_end(self, number: int = 1, within: float = 1) -> float:
        self.case.until(lambda: len(self.ends()) >= number, within)
        return self.ends()[number - 1]

    def start_now(self) -> Start:
        """Loaded and, by its plist or a kickstart, running."""
        outcome = self.bootstrap()
        assert outcome == Outcome(0), outcome
        return self.await_start()

    def outlive_throttle(self, start: Start, interval: float = 10) -> None:
        """From then on a restart is due at once."""
        self.case.sleep(max(0.0, start.at + interval + 1 - self.case.now()))

    def _events(self, kind: str) -> list[tuple[float, object]]:
        try:
            lines = self.log.read_text().splitlines(keepends=True)
        except FileNotFoundError:
            return []
        events = [ast.literal_eval(line) for line in lines if line.endswith("\n")]
        return [(at, fact) for name, at, fact in events if name == kind]
