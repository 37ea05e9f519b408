"""What plists run, as far as it gets before it serves: nothing that happens there is repeated for ever."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mlxhub.cli.run import _last_exit
from mlxhub.files.runs import NOTE_VARIABLE

LIMIT_SECONDS = 30


class Start:
    """Of `python -m mlxhub`, as launcher and launchd do it."""

    def __init__(self, directory: Path) -> None:
        self.home = directory
        self.note = directory / "state" / "parked" / "qwen3.5.txt"
        self.environment = {"HOME": str(directory), "MLXHUB_HOME": str(directory), "PATH": "/usr/bin:/bin"}

    def run(self, *arguments: str, launched: bool = True) -> "subprocess.CompletedProcess[str]":
        environment = self.environment | ({NOTE_VARIABLE: str(self.note)} if launched else {})
        return subprocess.run(
            [sys.executable, "-I", "-m", "mlxhub", *arguments],
            env=environment, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False,
        )  # fmt: skip


@pytest.fixture
def start(tmp_path: Path) -> Start:
    return Start(tmp_path)


def settings(**more: object) -> str:
    return json.dumps({"name": "qwen3.5", "model_path": "builtin:demo", "port": 47999, **more})


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("worker", "--settings", settings(frobnicate=1)), "settings: frobnicate: Extra inputs are not"),
        (("worker", "--settings", "{"), "settings: Invalid JSON"),
        (("worker", "--settings", settings(), "--frobnicate"), "--frobnicate"),
        (("controller", "--frobnicate"), "--frobnicate"),
        (("controller", "--port", "0"), "Invalid value for '--port'"),
    ],
)  # fmt: skip
def test_what_this_version_does_not_understand_is_kept_down_at_once(
    start: Start, arguments: tuple[str, ...], what: str
) -> None:
    done = start.run(*arguments)
    assert done.returncode == 0, done.stderr
    (reason,) = start.note.read_text().splitlines()
    assert reason.startswith(
        'Model "qwen3.5" does not start: this version of mlxhub does not understand its plist ('
    )
    assert what in reason
    assert reason.endswith("). Write it anew with: mlxhub install")
    assert reason in done.stderr


def test_a_note_that_cannot_be_written_makes_no_loop_either(start: Start) -> None:
    start.note.parent.parent.write_text("a file where the directory should be")
    done = start.run("worker", "--settings", "{")
    assert done.returncode == 0
    assert "does not understand its plist" in done.stderr
    assert "cannot be written" in done.stderr


def test_a_person_is_told_how_it_is_used(start: Start) -> None:
    done = start.run("worker", "--settings", settings(frobnicate=1), launched=False)
    assert done.returncode == 2
    assert "Usage: mlxhub worker" in done.stderr
    assert "settings: frobnicate: Extra inputs are not permitted" in done.stderr
    assert not start.note.parent.exists()


def test_a_controller_whose_log_cannot_be_opened_writes_its_death_down(start: Start) -> None:
    log = start.home / "controller.log"
    log.mkdir()
    done = start.run("controller", "--log-file", str(log), "--label", "io.mlxhub.test.controller")
    assert done.returncode == 1
    (run,) = json.loads((start.home / "state" / "runs" / "controller.json").read_text())
    assert run["ending"] == "exit 1"
    assert str(log) in run["reason"]


@pytest.mark.parametrize(
    ("command", "code"), [("worker", 0), ("controller", 0), ("version", -signal.SIGTERM)]
)
def test_a_stop_while_it_is_imported_is_a_requested_one(start: Start, command: str, code: int) -> None:
    """A package that takes for ever to import stands for the moment in which the signal comes."""
    (start.home / "click.py").write_text("import time; print('importing', flush=True); time.sleep(60)")
    process = subprocess.Popen(
        [sys.executable, "-m", "mlxhub", command],
        env=start.environment, cwd=start.home, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "importing\n"
    process.terminate()
    _, said = process.communicate(timeout=LIMIT_SECONDS)
    assert (process.returncode, said) == (code, "")


def test_a_launchd_that_cannot_be_asked_costs_a_start_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Here because the directory that everything is relative to is gone."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    monkeypatch.setenv("MLXHUB_HOME", "relative")
    gone.rmdir()
    before = time.monotonic()
    assert _last_exit("io.mlxhub.test.worker.m") is None
    assert time.monotonic() - before < 5
    assert "Traceback" not in capfd.readouterr().err
