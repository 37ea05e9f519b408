"""Loading, unloading, failing and ending of a real worker process."""

import asyncio
import json
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest

from mlxhub.core.lifecycle import ModelState
from tests.eventually import eventually
from tests.worker.processes import LAUNCH, RunWorker, Worker


def test_an_unloaded_worker_is_small_and_knows_no_mlx(run_worker: RunWorker, random_model: Path) -> None:
    with run_worker(model_path=str(random_model)) as worker:
        process = psutil.Process(worker.process.pid)
        assert process.memory_info().rss < 60_000_000
        assert not [m.path for m in process.memory_maps() if "mlx" in m.path and m.path.endswith(".so")]
        assert worker.status().model_status is ModelState.UNLOADED


def test_concurrent_first_requests_share_one_load(run_worker: RunWorker, random_model: Path) -> None:
    async def ask(url: str) -> list[int]:
        async with httpx.AsyncClient(base_url=url, timeout=20) as client:
            body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "max_tokens": 2}
            asking = [client.post("/v1/chat/completions", json=body) for _ in range(5)]
            return [response.status_code for response in await asyncio.gather(*asking)]

    with run_worker(model_path=str(random_model), log_level="INFO") as worker:
        assert asyncio.run(ask(worker.url)) == [200] * 5
        loaded = worker.status().memory.mlx_active_bytes
        assert worker.post("/unload").json()["model_status"] == "unloaded"
        assert worker.status().memory.mlx_active_bytes < 10_000 < loaded
        assert worker.chat(max_tokens=2).status_code == 200
        assert worker.post("/load").json()["model_status"] == "ready"
        worker.process.terminate()
        _, log = worker.process.communicate(timeout=10)
    assert log.count("Loading model") == 2


@pytest.mark.skipif(sys.platform == "darwin", reason="a Mac does not show another process's limits")
def test_a_loaded_worker_may_open_as_many_files_as_before(run_worker: RunWorker, random_model: Path) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with run_worker(model_path=str(random_model)) as worker:
        assert worker.chat(max_tokens=2).status_code == 200
        soft = psutil.Process(worker.process.pid).rlimit(psutil.RLIMIT_NOFILE)[0]
    assert soft == (8192 if hard == resource.RLIM_INFINITY else min(8192, hard))


def test_a_damaged_model_leaves_the_worker_up_and_says_why(
    run_worker: RunWorker, random_model: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(random_model, broken)
    weights = (broken / "model.safetensors").read_bytes()
    (broken / "model.safetensors").write_bytes(weights[:1000])
    with run_worker(model_path=str(broken)) as worker:
        refused = worker.chat()
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "model_load_failed")
        assert "damaged" in refused.json()["error"]["message"]
        assert worker.chat(stream=True).status_code == 503, "kept, not tried again at once"
        status = worker.status()
        assert status.model_status is ModelState.UNLOADED
        assert "damaged" in (status.error or "")
        assert worker.http.get("/health").status_code == 200

        (broken / "model.safetensors").write_bytes(weights)
        assert worker.post("/load").status_code == 200, "an explicit load tries at once"
        assert worker.status().error is None


@pytest.mark.parametrize(
    ("file", "content"), [("config.json", '{"model_type": "no_such_model"}'), ("tokenizer.json", "{}")]
)
def test_what_mlx_lm_refuses_is_a_failed_load(
    run_worker: RunWorker, random_model: Path, tmp_path: Path, file: str, content: str
) -> None:
    shutil.copytree(random_model, tmp_path / "broken")
    (tmp_path / "broken" / file).write_text(content)
    with run_worker(model_path=str(tmp_path / "broken")) as worker:
        error = worker.post("/load").json()["error"]
        assert error["code"] == "model_load_failed"
        assert "Traceback" not in error["message"]
        assert worker.http.get("/health").status_code == 200


def test_a_repo_id_is_found_in_the_hugging_face_cache_and_nowhere_else(
    run_worker: RunWorker, random_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = tmp_path / "hub" / "models--some--model"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text("0123456789abcdef0123456789abcdef01234567")
    (repo / "snapshots").mkdir()
    shutil.copytree(random_model, repo / "snapshots" / "0123456789abcdef0123456789abcdef01234567")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with run_worker(model_path="some/model") as worker:
        assert worker.post("/load").status_code == 200
    with run_worker(model_path="some/other") as worker:
        error = worker.post("/load").json()["error"]
        assert "mlxhub models pull some/other" in error["message"]


def test_without_jit_only_a_load_loads(run_worker: RunWorker, random_model: Path) -> None:
    with run_worker(model_path=str(random_model), jit=False) as worker:
        assert worker.chat().json()["error"]["code"] == "model_not_loaded"
        assert worker.http.get("/readyz").status_code == 503
        worker.post("/load")
        assert worker.http.get("/readyz").status_code == 200
        assert worker.chat(max_tokens=1).status_code == 200


def test_preload_loads_and_idleness_unloads(run_worker: RunWorker, random_model: Path) -> None:
    settings = {"model_path": str(random_model), "preload": True, "auto_unload_minutes": 0.02}
    with run_worker(**settings) as worker:
        eventually(lambda: worker.status().model_status is ModelState.READY)
        left = worker.status().unload_in_seconds
        assert left is not None
        assert left <= 1.2
        eventually(lambda: worker.status().model_status is ModelState.UNLOADED, 5)
        assert worker.status().unload_in_seconds is None


def test_plain_unload_cuts_a_running_answer_only_after_its_time(worker: Worker) -> None:
    with worker.http.stream(
        "POST",
        "/v1/chat/completions",
        json={
            "model": "m",
            "messages": [{"role": "user", "content": "x"}],
            "max_tokens": 600,
            "stream": True,
        },
    ) as response:
        lines = response.iter_lines()
        next(lines)
        with httpx.Client(base_url=worker.url, timeout=30) as other:
            assert other.post("/unload", json={}).json()["model_status"] == "unloaded"
        assert list(lines)[-2] == "data: [DONE]"


def test_sigterm_lets_answers_finish_refuses_new_ones_and_ends_with_0(
    run_worker: RunWorker, random_model: Path
) -> None:
    with run_worker(model_path=str(random_model), preload=True) as worker:
        eventually(lambda: worker.status().model_status is ModelState.READY)
        body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": True}
        with worker.http.stream("POST", "/v1/chat/completions", json={**body, "max_tokens": 700}) as running:
            lines = running.iter_lines()
            next(lines)
            with httpx.Client(base_url=worker.url, timeout=10) as other:
                worker.process.send_signal(signal.SIGTERM)
                eventually(lambda: other.get("/status").json()["draining"])
                refused = other.post("/v1/chat/completions", json=body)
                assert (refused.status_code, refused.json()["error"]["code"]) == (503, "shutting_down")
                assert refused.headers["retry-after"] == "2"
                assert other.get("/health").status_code == 503
            assert [line for line in lines if line][-1] == "data: [DONE]"
        assert worker.process.wait(10) == 0


def test_a_second_signal_ends_streams_with_an_error_event(run_worker: RunWorker, random_model: Path) -> None:
    with run_worker(model_path=str(random_model), preload=True) as worker:
        eventually(lambda: worker.status().model_status is ModelState.READY)
        body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": True}
        with worker.http.stream("POST", "/v1/chat/completions", json=body) as running:
            lines = running.iter_lines()
            next(lines)
            worker.process.send_signal(signal.SIGTERM)
            with httpx.Client(base_url=worker.url) as other:
                eventually(lambda: other.get("/status").json()["draining"])
            worker.process.send_signal(signal.SIGTERM)
            last = [line for line in lines if line][-1]
        assert json.loads(last.removeprefix("data: "))["error"]["code"] == "shutting_down"
        assert worker.process.wait(10) == 0


def test_an_idle_worker_ends_quickly(run_worker: RunWorker, random_model: Path) -> None:
    with run_worker(model_path=str(random_model), preload=True) as worker:
        eventually(lambda: worker.status().model_status is ModelState.READY)
        began = time.monotonic()
        worker.process.terminate()
        assert worker.process.wait(10) == 0
        assert time.monotonic() - began < 3


def test_a_held_port_is_said_and_exit_code_75(run_worker: RunWorker, random_model: Path) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        port = stranger.getsockname()[1]
        settings = {"name": "m", "model_path": str(random_model), "port": port}
        ended = subprocess.run(
            [sys.executable, str(LAUNCH), json.dumps(settings)],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    assert ended.returncode == 75
    assert f"Port {port} is held by pid" in ended.stderr
    assert ended.stderr.count("\n") == 1
