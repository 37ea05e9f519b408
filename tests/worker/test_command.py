"""Models that another program serves: started, asked, watched and ended by a worker like any other."""

import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from mlxhub.demo import model_directory
from tests.eventually import eventually
from tests.models.vision import cached_vision_model
from tests.worker.conftest import CACHE
from tests.worker.processes import Worker, running_worker
from tests.worker.test_vision import COLOUR, file_of, image, user

FOREIGN = str(Path(__file__).with_name("foreign_server.py"))


def foreign(way: str = "", **options: Any) -> AbstractContextManager[Worker]:
    command = [sys.executable, FOREIGN, "{port}", *([way] if way else [])]
    return running_worker(command=command, **options)


@pytest.fixture
def worker() -> Iterator[Worker]:
    with foreign() as running:
        yield running


def children(worker: Worker) -> list[psutil.Process]:
    return psutil.Process(worker.process.pid).children(recursive=True)


def test_load_starts_it_and_unload_ends_it(worker: Worker) -> None:
    assert worker.status().model_type == "command"
    assert children(worker) == []
    assert worker.post("/load").status_code == 200
    started = children(worker)
    assert any(FOREIGN in process.cmdline() for process in started)
    own = psutil.Process(worker.process.pid).memory_info().rss
    eventually(lambda: worker.status().memory.footprint_bytes > own + 5_000_000)
    assert worker.post("/unload").status_code == 200
    assert children(worker) == []
    assert not any(process.is_running() for process in started)


def test_the_first_request_loads_and_what_is_sent_is_handed_on(worker: Worker) -> None:
    answer = worker.http.post(
        "/v1/chat/completions",
        json={"model": "m", "messages": [], "strange": 5},
        headers={"authorization": "Bearer secret", "x-request-id": "r-1"},
    )
    assert answer.headers["x-request-id"] == "r-1"
    assert answer.json() == {
        "path": "/v1/chat/completions",
        "asked": {"model": "m", "messages": [], "strange": 5},
        "authorization": None,
    }
    assert worker.post("/v1/embeddings", {"model": "m", "input": "x"}).json()["path"] == "/v1/embeddings"
    assert worker.post("/v1/chat/completions", {"model": "other"}).status_code == 404
    counters = worker.status().counters
    assert (counters.requests, counters.completed) == (2, 2)


def test_its_own_name_for_the_model(tmp_path: Path) -> None:
    with foreign(upstream_model="local") as worker:
        answer = worker.post("/v1/completions", {"model": "m", "prompt": "x"})
        assert answer.json()["asked"] == {"model": "local", "prompt": "x"}


def test_a_client_that_leaves_ends_the_exchange(worker: Worker) -> None:
    with worker.http.stream("POST", "/v1/chat/completions", json={"model": "m", "stream": True}) as answer:
        lines = answer.iter_lines()
        assert next(lines) == "data: 0"
        assert worker.status().in_flight == 1
    eventually(lambda: worker.status().in_flight == 0, 5)
    assert worker.status().counters.cancelled == 1


def test_a_request_has_its_time(worker: Worker) -> None:
    with foreign(request_timeout=1.5) as impatient:
        impatient.post("/load")
        with impatient.http.stream(
            "POST", "/v1/chat/completions", json={"model": "m", "stream": True}
        ) as answer:
            last = [line for line in answer.iter_lines() if line][-1]
        assert "request_timeout" in last
        assert "generation_timeout" in last
    with foreign("silent", request_timeout=1.0) as silent:
        silent.post("/load")
        answer = silent.post("/v1/chat/completions", {"model": "m"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (504, "generation_timeout")


def test_so_many_at_a_time() -> None:
    with foreign(max_concurrency=1, queue_size=0) as worker:
        worker.post("/load")
        with worker.http.stream("POST", "/v1/completions", json={"model": "m", "stream": True}) as answer:
            lines = answer.iter_lines()
            assert next(lines) == "data: 0"
            refused = httpx.post(f"{worker.url}/v1/completions", json={"model": "m"})
            assert (refused.status_code, refused.json()["error"]["code"]) == (429, "queue_full")


def test_it_may_take_its_time_to_be_ready() -> None:
    with foreign("late") as worker:
        assert worker.post("/v1/chat/completions", {"model": "m"}).status_code == 200
        assert (worker.status().load_seconds or 0) >= 0.9


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (["/no/such/program", "{port}"], "ended before it answered"),
        ([sys.executable, FOREIGN, "{port}", "broken"], r"ended before it answered \(exit code 1\)"),
    ],
)
def test_a_command_that_does_not_come_up(command: list[str], reason: str) -> None:
    with running_worker(command=command) as worker:
        answer = worker.post("/v1/chat/completions", {"model": "m"})
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "model_load_failed"
        assert re.search(reason, answer.json()["error"]["message"])
        assert worker.http.get("/health").json()["model_status"] == "unloaded"


def test_its_death_is_the_workers_death() -> None:
    with foreign("dies") as worker:
        answer = worker.post("/v1/chat/completions", {"model": "m"})
        assert answer.status_code in (500, 502)
        assert worker.process.wait(timeout=15) == 70
        assert worker.process.stderr is not None
        log = worker.process.stderr.read()
        assert "| dying words" in log
        assert "exit code 3" in log


def test_who_ignores_sigterm_is_killed() -> None:
    with foreign("stubborn") as worker:
        worker.post("/load")
        started = children(worker)
        began = time.monotonic()
        assert worker.post("/unload").status_code == 200
        assert time.monotonic() - began > 4
        assert not any(process.is_running() for process in started)


def test_a_server_behind_a_launcher_ends_with_its_unload() -> None:
    """A shell that waits for it ends at SIGTERM and does not hand that on."""
    command = ["sh", "-c", f"{sys.executable} {FOREIGN} {{port}}; true"]
    with running_worker(command=command) as worker:
        worker.post("/load")
        started = children(worker)
        assert len(started) > 2
        assert worker.post("/unload").status_code == 200
        assert not any(map(_is_alive, started))


def test_a_worker_ends_while_its_command_is_not_ready() -> None:
    with foreign("never") as worker:
        with ThreadPoolExecutor() as threads:
            threads.submit(worker.post, "/load")
            eventually(lambda: len(children(worker)) == 2)
            started = children(worker)
            worker.process.terminate()
            assert worker.process.wait(40) == 0
        eventually(lambda: not any(map(_is_alive, started)), 5)
        assert worker.process.stderr is not None
        assert "did not stop in time" not in worker.process.stderr.read()


def test_numbers_that_python_does_not_read_are_handed_on() -> None:
    with foreign(upstream_model="theirs") as worker:
        digits = "1" * 5_000
        body = f'{{"model": "m", "messages": [], "n": {digits}}}'
        answer = worker.http.post(
            "/v1/chat/completions", content=body, headers={"content-type": "application/json"}
        )
    assert digits in answer.text
    assert '"model": "theirs"' in answer.text


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_it_does_not_outlive_the_worker(worker: Worker, how: int) -> None:
    worker.post("/load")
    started = children(worker)
    assert len(started) == 2
    os.kill(worker.process.pid, how)
    worker.process.wait(timeout=15)
    eventually(lambda: not any(_is_alive(process) for process in started), 10)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_mlx_lms_own_server() -> None:
    command = [
        sys.executable,
        "-m",
        "mlx_lm",
        "server",
        "--model",
        str(model_directory()),
        "--port",
        "{port}",
    ]
    with running_worker(command=command, upstream_model="default_model") as worker:
        answer = worker.openai.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "ping"}], temperature=0
        )
        assert answer.choices[0].message.content == "pong"


def test_mlx_vlms_own_server() -> None:
    model = str(cached_vision_model(CACHE))
    command = [
        sys.executable,
        "-m",
        "mlx_vlm",
        "server",
        "--model",
        model,
        "--host",
        "127.0.0.1",
        "--port",
        "{port}",
    ]
    with running_worker(command=command, upstream_model=model) as worker:
        answer = worker.openai.with_options(timeout=60).chat.completions.create(
            model="m",
            messages=[user(image(file_of("green")), COLOUR)],
            temperature=0,
            max_tokens=5,  # type: ignore[list-item]
        )
        assert answer.choices[0].message.content == "green"
