"""A real daemon in a temporary directory, and launchctl in front of it."""

import json
import os
import plistlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mlxhub.standin.launchctl import answer_without_daemon, ask

ROOT = Path(__file__).parents[2]
LAUNCHCTL = ROOT / "mlxhub" / "standin" / "launchctl.py"
PROBE = Path(__file__).with_name("probe.py")
SCALE = 10.0
DOMAIN = f"gui/{os.getuid()}"


@dataclass(frozen=True, slots=True)
class Outcome:
    rc: int
    stdout: str = ""
    stderr: str = ""


class Mac:
    """What a test may do: log in, run launchctl, write plists, wait. Times are launchd seconds."""

    domain = DOMAIN
    target = f"{DOMAIN}/t.x"
    launchctl = LAUNCHCTL
    outcome = Outcome
    scale = SCALE

    def __init__(self, home: Path) -> None:
        self.home = home
        self.agents = home / "agents"
        self.agents.mkdir()
        self.state = home / "state"
        self.journal = home / "daemon.log"
        self.probe_log = home / "probe.log"
        self.daemons: list[subprocess.Popen[bytes]] = []

    def log_in(self, *options: str, seed: int = 0, journal: Path | None = None) -> subprocess.Popen[bytes]:
        arguments = [
            "--state",
            self.state,
            "--agents",
            self.agents,
            "--seed",
            str(seed),
            "--clock-scale",
            str(SCALE),
        ]
        with (journal or self.journal).open("ab") as stderr:
            command = [sys.executable, "-m", "mlxhub.standin.daemon", *arguments, *options]
            environment = {**os.environ, "LEAK": "of the daemon", "SSH_AUTH_SOCK": "/tmp/agent"}
            daemon = subprocess.Popen(command, stderr=stderr, cwd=ROOT, env=environment)
        self.daemons.append(daemon)
        self.until(lambda: daemon.poll() is not None or self._serves())
        return daemon

    def _serves(self) -> bool:
        answer = ask(str(self.state), ["managername"], is_tty=False)
        return answer is not None and answer[0] == 0

    def log_out(self) -> int:
        self.daemons[-1].terminate()
        return self.daemons[-1].wait(10)

    def clean_up(self) -> None:
        for daemon in self.daemons:
            daemon.terminate()
        for daemon in self.daemons:
            try:
                daemon.wait(0.5)  # longer only if a job ignores SIGTERM, and then it dies with the daemon
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()

    def run(self, *argv: str) -> Outcome:
        """launchctl in this process, which is what the script does too, only sooner."""
        answer = ask(str(self.state), list(argv), is_tty=False) or answer_without_daemon(list(argv))
        return Outcome(*answer)

    def start_script(self, *argv: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", LAUNCHCTL, *argv], env={"MLXHUB_LAUNCHD_STATE": str(self.state)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def write(self, *probe_options: str, label: str = "t.x", **keys: object) -> Path:
        """A plist whose job is the probe, unless the keys say otherwise."""
        path = self.agents / f"{label}.plist"
        arguments = [sys.executable, "-S", str(PROBE), "--log", str(self.probe_log), *probe_options]
        document = {
            "Label": label,
            "ProgramArguments": arguments,
            "ProcessType": "Interactive",
            "ExitTimeOut": 10,
        }
        document |= {"StandardErrorPath": str(self.home / f"{label}.err")} | keys
        path.write_bytes(plistlib.dumps({key: value for key, value in document.items() if value is not None}))
        path.chmod(0o644)
        return path

    def bootstrap(self, *probe_options: str, **keys: object) -> Outcome:
        return self.run("bootstrap", DOMAIN, str(self.write(*probe_options, **keys)))

    def fields(self, label: str = "t.x") -> dict[str, str]:
        """The fields of `print` at one tab of indent; empty if the job is not loaded."""
        lines = self.run("print", f"{DOMAIN}/{label}").stdout.splitlines()
        pairs = (line[1:].split(" = ", 1) for line in lines if line[:1] == "\t" and line[1:2] != "\t")
        return {pair[0]: pair[1] for pair in reversed(list(pairs)) if len(pair) == 2 and pair[1] != "{"}

    def starts(self) -> list[dict]:
        if not self.probe_log.exists():
            return []
        return [
            json.loads(line)
            for line in self.probe_log.read_text().splitlines(keepends=True)
            if line.endswith("\n")
        ]

    def await_start(self, number: int = 1, within: float = 50) -> dict:
        self.until(lambda: len(self.starts()) >= number, within)
        return self.starts()[number - 1]

    def alive(self, pid: int) -> bool:
        return command_of(pid) != b""  # a zombie has none

    def until(self, fact: Callable[[], object], within: float = 50) -> None:
        deadline = time.monotonic() + within / SCALE
        while not fact():
            assert time.monotonic() < deadline, (
                f"not within {within} s; the daemon says:\n{self.journal.read_text()[-2000:]}"
            )
            time.sleep(0.02)

    def stays(self, fact: Callable[[], object], during: float) -> None:
        end = time.monotonic() + during / SCALE
        while time.monotonic() < end:
            assert fact(), self.journal.read_text()
            time.sleep(0.05)


def command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


@pytest.fixture
def logged_out_mac(tmp_path: Path) -> Iterator[Mac]:
    mac = Mac(tmp_path)
    try:
        yield mac
    finally:
        mac.clean_up()


@pytest.fixture
def mac(logged_out_mac: Mac) -> Mac:
    logged_out_mac.log_in()
    return logged_out_mac
