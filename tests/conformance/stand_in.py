"""The stand-in as a launchd to ask: a daemon for each clock, and for each scenario that logs out."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Self

from mlxhub.standin.launchctl import STATE_VARIABLE, answer_without_daemon, ask
from mlxhub.standin.variation import draw_variation
from tests.conformance.answers import answer_text
from tests.conformance.driver import Launchd, Outcome
from tests.conformance.processes import end_processes_under
from tests.conformance.running import Result, run_together
from tests.conformance.scenario import Scenario
from tests.conformance.uncertain import UNCERTAIN

ROOT = Path(__file__).parents[2]
LAUNCHCTL = ROOT / "mlxhub" / "standin" / "launchctl.py"
USUAL_SCALE = 10.0
HURRIED_SCALE = 30.0
SLOWNESSES = (1, 3, 10)
HEARTBEAT_SECONDS = 0.05
# An answer takes about a thousandth of a second; after this many the machine is too busy to be believed.
LATE_SECONDS = 0.2


def drawn_answers(seed: int) -> dict[str, str]:
    """What the daemon of that seed must answer: what it draws, and the first answer where it does not."""
    variation = draw_variation(seed)
    drawn = {
        each.name: answer_text(getattr(variation, each.name))
        for each in fields(variation)
        if each.name != "seed"
    }
    drawn["directory_as_plist"] = drawn["missing_file"]  # it is no file to the stand-in
    return {name: uncertain.answers[0] for name, uncertain in UNCERTAIN.items()} | drawn


class Daemon:
    """One daemon, as often as it is started; its user is logged in while it runs."""

    def __init__(self, directory: Path, seed: int, scale: float) -> None:
        self.state = directory / "state"
        self.agents = directory / "agents"
        self.journal = directory / "daemon.log"
        self.agents.mkdir(parents=True)
        self._options = ["--seed", str(seed), "--clock-scale", str(scale)]
        self._process: subprocess.Popen[bytes] | None = None

    def launchctl(self, argv: Sequence[str]) -> Outcome:
        """In this process, which is what the script does too, only sooner."""
        answer = ask(str(self.state), list(argv), is_tty=False) or answer_without_daemon(list(argv))
        return Outcome(*answer)

    def log_in(self, delay: float = 0) -> None:
        directories = ["--state", str(self.state), "--agents", str(self.agents), "--login-delay", str(delay)]
        command = [sys.executable, "-I", "-m", "mlxhub.standin.daemon", *directories, *self._options]
        with self.journal.open("ab") as journal:
            self._process = subprocess.Popen(
                command, stderr=journal, cwd=ROOT, env={**os.environ, "LEAK": "of the daemon"}
            )
        deadline = time.monotonic() + 20
        while self.launchctl(["managername"]).stdout != "Aqua\n":
            said = self.journal.read_text()
            assert self._process.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.02)

    def log_out(self) -> None:
        """Ends every job; what ignores SIGTERM dies with the daemon."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def log_in_again(self, delay: float) -> None:
        self.log_out()
        self.log_in(delay)


@contextmanager
def stand_in(directory: Path, seed: int, scale: float) -> Iterator[Launchd]:
    daemon = Daemon(directory, seed, scale)
    launchd = Launchd(
        ask=daemon.launchctl,
        command=(sys.executable, "-I", "-S", str(LAUNCHCTL)),
        environment={STATE_VARIABLE: str(daemon.state)},
        scale=scale,
        prefix="t.x",
        lasting_prefix="t.x",
        directory=daemon.agents,
        journal=daemon.journal,
        restart=daemon.log_in_again,
    )
    try:
        daemon.log_in()
        yield launchd
    finally:
        daemon.log_out()
        end_processes_under(launchd.directory)


class StandIns:
    """The launchds of one seed, started as they are needed, and how late this machine makes them.

    `slowness` divides the speed of their clocks. With a scale given, all have that one.
    """

    def __init__(
        self, directory: Path, seed: int, *, slowness: float = 1, scale: float | None = None
    ) -> None:
        self.worst_delay = 0.0  # real seconds that an answer took
        self._directory = directory
        self._seed = seed
        self._slowness = slowness
        self._scale = scale
        self._opened = ExitStack()
        self._started: dict[str, Launchd] = {}
        self._closing = threading.Event()
        self._watch = threading.Thread(target=self._measure_delays, daemon=True)

    def __enter__(self) -> Self:
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._watch.join()
        self._opened.close()

    def for_scenario(self, scenario: Scenario) -> Launchd:
        usual = (HURRIED_SCALE if scenario.hurries else USUAL_SCALE) / self._slowness
        scale = self._scale or usual
        name = f"scenario {scenario.number}" if scenario.logs_out else f"scale {scale:g}"
        if name not in self._started:
            opened = stand_in(self._directory / name, self._seed, scale)
            self._started[name] = self._opened.enter_context(opened)
        return self._started[name]

    def _measure_delays(self) -> None:
        asked = time.monotonic()
        while not self._closing.wait(HEARTBEAT_SECONDS):
            for launchd in list(self._started.values()):
                launchd.ask(["managername"])
            answered = time.monotonic()
            self.worst_delay = max(self.worst_delay, answered - asked - HEARTBEAT_SECONDS)
            asked = answered


def run_against_stand_ins(scenarios: list[Scenario], directory: Path, seed: int) -> list[Result]:
    """What fails while this machine is late proves nothing, and is asked again on slower clocks."""
    results: dict[int, Result] = {}
    for slowness in SLOWNESSES:
        with StandIns(directory / f"slowness {slowness}", seed, slowness=slowness) as stand_ins:
            for result in run_together(scenarios, stand_ins.for_scenario, drawn_answers(seed)):
                results[result.scenario.number] = result
        scenarios = [result.scenario for result in results.values() if result.failure is not None]
        if not scenarios or stand_ins.worst_delay < LATE_SECONDS:
            break
    return list(results.values())
