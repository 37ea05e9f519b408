"""Real worker processes that die of requests: who is to blame is found out, and nobody else pays for it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlxhub.core.paths import RunFiles
from mlxhub.files.flight_record import read_flight
from mlxhub.files.runs import read_runs
from tests.eventually import eventually
from tests.fakes.run_files import run_files_in
from tests.worker.processes import LAUNCH, LAUNCH_IMPATIENT, answers, free_port


class Job:
    """What launchd would start again and again: an echo, with the faults of a script."""

    def __init__(self, directory: Path) -> None:
        self.files: RunFiles = run_files_in(directory, "m")
        self.url = f"http://127.0.0.1:{free_port()}"
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, script: str, launch: Path = LAUNCH) -> "subprocess.Popen[bytes]":
        records = {
            "label": "io.mlxhub.test.m",
            "runs": str(self.files.runs),
            "parked": str(self.files.parked),
        }
        settings = {
            "name": "m",
            "model_type": "echo",
            "model_path": f"echo: {script}",
            "port": int(self.url.rpartition(":")[2]),
            "log_file": str(self.files.log),
            "records": records,
        }
        process = subprocess.Popen([sys.executable, str(launch), json.dumps(settings)])
        self.processes.append(process)
        with httpx.Client(base_url=self.url) as http:
            eventually(lambda: answers(http), 20)
        return process

    def chat(self, text: str, **options: Any) -> httpx.Response:
        messages = [{"role": "user", "content": text}]
        body = {"model": "m", "messages": messages, **options}
        return httpx.post(f"{self.url}/v1/chat/completions", json=body, timeout=30)

    def dies_of(self, text: str) -> None:
        with pytest.raises(httpx.TransportError):
            self.chat(text)
        self.processes[-1].wait(20)

    @property
    def in_flight(self) -> int:
        return len(read_flight(self.files.flight).requests)


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    job = Job(tmp_path)
    yield job
    for process in job.processes:
        if process.poll() is None:
            process.kill()
        process.wait(10)


POISON = "token 0.01, segv if poison"


def test_a_request_that_killed_its_process_twice_is_refused_and_others_are_served(job: Job) -> None:
    for _ in range(2):
        job.start(POISON)
        assert job.chat("hello").status_code == 200
        job.dies_of("some poison")
    job.start(POISON)
    refused = job.chat("some poison")
    assert refused.status_code == 422, refused.text
    assert refused.json()["error"]["code"] == "request_quarantined"
    assert 500 < int(refused.headers["retry-after"]) <= 600
    assert job.chat("hello").status_code == 200
    job.dies_of("some poison, said otherwise")  # it was taken: that is not the same request


def test_the_next_run_tells_what_the_last_one_was_doing(job: Job) -> None:
    job.start(POISON)
    job.dies_of("some poison")
    job.start(POISON)
    died = read_runs(job.files)[0]
    assert died.reason is not None
    assert died.reason.startswith("it held ")
    assert ", and answered 1 request of " in died.reason


def test_of_several_in_flight_only_the_one_is_refused_of_which_processes_die(job: Job) -> None:
    """They come again together, as clients do: the innocent ones are answered in their turn."""
    texts = ["one", "two", "three", "some poison"]

    def ask(text: str) -> int:
        try:
            return job.chat(text).status_code
        except httpx.TransportError:
            return 0

    slow = "prefill 0.5, token 0.01, segv if poison"
    statuses: dict[str, int] = {}
    with ThreadPoolExecutor(len(texts)) as clients:
        for _ in range(2):
            job.start(slow)
            assert job.chat("warm").status_code == 200
            assert set(clients.map(ask, texts)) != {200}
            job.processes[-1].wait(20)
        job.start(slow)
        statuses = dict(zip(texts, clients.map(ask, texts), strict=True))
    assert statuses == {"one": 200, "two": 200, "three": 200, "some poison": 422}


def test_who_was_answered_after_a_death_is_no_suspect_any_more(job: Job) -> None:
    for _ in range(3):
        job.start("token 0.2")
        assert job.chat("hello there").status_code == 200
        with ThreadPoolExecutor(1) as client:
            asking = client.submit(job.chat, "hello there")
            eventually(lambda: job.in_flight == 1)
            os.kill(job.processes[-1].pid, signal.SIGKILL)
            assert isinstance(asking.exception(20), httpx.TransportError)
        job.processes[-1].wait(20)
    job.start("token 0.2")
    assert job.chat("hello there").status_code == 200


def test_one_that_hangs_the_engine_is_found_out_too(job: Job) -> None:
    for _ in range(2):
        process = job.start("hang_step if poison", LAUNCH_IMPATIENT)
        assert job.chat("some poison").status_code == 500
        assert process.wait(20) == 70
    job.start("hang_step if poison", LAUNCH_IMPATIENT)
    assert job.chat("some poison").status_code == 422


def test_a_stop_leaves_nobody_suspected(job: Job) -> None:
    process = job.start("token 0.05")
    with ThreadPoolExecutor(1) as client:
        asking = client.submit(job.chat, "a few words to say")
        eventually(lambda: job.in_flight == 1)
        process.terminate()
        assert asking.result(20).status_code == 200
    assert process.wait(20) == 0
    assert job.in_flight == 0
    assert not job.files.suspects.exists()
