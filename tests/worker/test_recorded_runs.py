"""Worker processes as plists start them: what becomes of them is written down, and too many deaths park."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from mlxhub.core.paths import RunFiles
from mlxhub.core.restarts import Run
from mlxhub.files.runs import hold_run_lock, is_alive, make_new_beginning, read_runs
from tests.eventually import eventually
from tests.fakes.run_files import run_files_in
from tests.worker.processes import answers, free_port


class Job:
    """What launchd would start again and again."""

    def __init__(self, directory: Path) -> None:
        self.files: RunFiles = run_files_in(directory, "m")
        self.environment = {"HOME": str(directory), "MLXHUB_HOME": str(directory), "PATH": "/usr/bin:/bin"}
        self.port = free_port()
        self.processes: list[subprocess.Popen[str]] = []

    def start(self) -> "subprocess.Popen[str]":
        records = {
            "label": "io.mlxhub.test.m",
            "runs": str(self.files.runs),
            "parked": str(self.files.parked),
        }
        settings = {
            "name": "m",
            "model_path": "builtin:demo",
            "port": self.port,
            "log_file": str(self.files.log),
            "records": records,
        }
        process = subprocess.Popen(
            [sys.executable, "-I", "-m", "mlxhub", "worker", "--settings", json.dumps(settings)],
            env=self.environment, text=True, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.processes.append(process)
        return process

    def started(self) -> "subprocess.Popen[str]":
        """It has written its run down."""
        process = self.start()
        eventually(lambda: read_runs(self.files)[-1:] and read_runs(self.files)[-1].pid == process.pid, 20)
        return process

    def serves(self) -> bool:
        return "is served at" in self.files.log.read_text()


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    job = Job(tmp_path)
    yield job
    for process in job.processes:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=10)


def test_the_sixth_start_after_five_kills_parks_with_exit_0(job: Job) -> None:
    for _ in range(5):
        process = job.started()
        process.kill()
        process.wait(10)
    sixth = job.start()
    assert sixth.wait(20) == 0
    reason = job.files.parked.read_text().splitlines()[0]
    assert reason.startswith('Model "m" died 5 times in 10 minutes (last: nobody knows how, at most ')
    assert reason.endswith("and stays down. See mlxhub logs m, then: mlxhub start-model m")
    assert reason in job.files.log.read_text()
    assert not job.serves()

    make_new_beginning(job.files)
    job.started()
    eventually(job.serves, 20)


def test_a_stop_is_written_down_and_is_no_death(job: Job) -> None:
    process = job.started()
    eventually(job.serves, 20)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    (run,) = read_runs(job.files)
    assert (run.pid, run.ending, run.exact, run.died) == (process.pid, "exit 0", True, False)
    assert not is_alive(job.files)


def test_a_held_port_is_no_death(job: Job) -> None:
    first = job.started()
    eventually(job.serves, 20)
    other = Job(job.files.log.parent / "other")
    other.files.log.parent.mkdir()
    other.port = job.port
    second = other.start()
    try:
        assert second.wait(20) == 75
    finally:
        second.communicate(timeout=10)
    (run,) = read_runs(other.files)
    assert (run.ending, run.died) == ("exit 75", False)
    assert (run.reason or "").startswith(f"Port {job.port} is held by pid {first.pid}")


def test_a_log_that_cannot_be_opened_is_a_death_that_is_written_down(job: Job) -> None:
    job.files.log.mkdir()
    process = job.start()
    _, said = process.communicate(timeout=20)
    assert process.returncode == 1
    (run,) = read_runs(job.files)
    assert (run.ending, run.died) == ("exit 1", True)
    assert str(job.files.log) in (run.reason or "")
    assert str(job.files.log) in said


def test_a_predecessor_that_does_not_go_parks_the_next_one_and_is_named(job: Job) -> None:
    """As a process that the kernel cannot end, with the GPU's memory still in its hands."""
    first = job.started()
    eventually(job.serves, 20)
    os.kill(first.pid, signal.SIGSTOP)
    resident = psutil.Process(first.pid).memory_info().rss
    second = job.start()
    assert second.wait(30) == 0
    reason = job.files.parked.read_text().splitlines()[0]
    assert reason == (
        f'Model "m" does not start: its last process (pid {first.pid}) is still there after 10 s and holds '
        f"{resident / 1e9:.1f} GB. End it with: kill -9 {first.pid}; if it stays even so, restart this "
        "machine. Then: mlxhub start-model m"
    )


def test_a_worker_started_by_hand_leaves_nothing_behind(job: Job) -> None:
    command = [sys.executable, "-m", "mlxhub", "worker", "--model-path", "builtin:demo", "--name", "m"]
    process = subprocess.Popen(
        [*command, "--port", str(job.port)], env=job.environment, text=True, stderr=subprocess.PIPE
    )
    job.processes.append(process)
    with httpx.Client(base_url=f"http://127.0.0.1:{job.port}") as http:
        eventually(lambda: answers(http), 20)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert list(job.files.log.parent.iterdir()) == []


def test_the_lock_of_a_run_is_free_as_soon_as_its_process_is_gone(job: Job) -> None:
    process = job.started()
    assert is_alive(job.files)
    process.kill()
    process.wait(10)
    held = hold_run_lock(job.files)
    assert held is not None
    os.close(held)
    assert read_runs(job.files) == (Run(process.pid, read_runs(job.files)[0].started_at),)
