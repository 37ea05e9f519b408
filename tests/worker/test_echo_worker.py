"""Real worker processes with the echo engine: each fault of a script does what it says, and no more."""

import json
import os
import signal
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from mlxhub.core.lifecycle import ModelState
from mlxhub.core.restarts import EXIT_TRY_AGAIN
from tests.eventually import eventually
from tests.worker.leaving import require_freed_row
from tests.worker.processes import LAUNCH_IMPATIENT, Worker, answers, free_port, running_worker

CHAT = "/v1/chat/completions"


def echo(script: str = "", **settings: Any) -> AbstractContextManager[Worker]:
    return running_worker(model_type="echo", model_path=f"echo: {script}", **settings)


def said(response: httpx.Response) -> str:
    assert response.status_code == 200, response.text
    text: str = response.json()["choices"][0]["message"]["content"]
    return text


def code(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def ended_while_asked(worker: Worker, text: str) -> tuple[int, str]:
    """How the process ended of this request, and what it had logged."""
    with pytest.raises(httpx.TransportError):
        worker.chat(text)
    _, log = worker.process.communicate(timeout=20)
    return worker.process.returncode, log


def test_an_echo_is_answered_through_everything_that_a_model_is() -> None:
    with echo("token 0.005", preload=True) as worker:
        eventually(lambda: worker.status().model_status is ModelState.READY)
        whole = worker.chat("to be or not").json()
        assert whole["choices"][0]["message"]["content"] == "to be or not"
        assert (whole["usage"]["prompt_tokens"], whole["usage"]["completion_tokens"]) == (5, 5)
        assert worker.chat("to be or not", max_tokens=2).json()["choices"][0]["finish_reason"] == "length"
        assert said(worker.chat("to be or not", stop=["or"])) == "to be "
        body = {"model": "m", "messages": [{"role": "user", "content": "to be"}], "stream": True}
        with worker.http.stream("POST", CHAT, json=body) as stream:
            lines = [line.removeprefix("data: ") for line in stream.iter_lines() if line]
        deltas = [json.loads(line)["choices"][0]["delta"].get("content") for line in lines[:-1]]
        assert [delta for delta in deltas if delta] == ["to", " be"]
        assert lines[-1] == "[DONE]"
        assert said(worker.chat("to be", n=2)) == "to be"


def test_an_echo_worker_starts_and_stays_small_and_knows_no_mlx() -> None:
    with echo() as worker:
        assert said(worker.chat("hello")) == "hello"
        process = psutil.Process(worker.process.pid)
        assert process.memory_info().rss < 70_000_000
        libraries = [each.path for each in process.memory_maps() if each.path.endswith(".so")]
        assert not [path for path in libraries if "mlx" in path or "numpy" in path]


def test_a_client_that_leaves_frees_its_row_and_the_queue_has_its_limit() -> None:
    with echo("token 0.05", max_concurrency=1, queue_size=0) as worker:
        body = {"model": "m", "messages": [{"role": "user", "content": "a " * 1000}], "stream": True}
        require_freed_row(worker, CHAT, body)
        with worker.http.stream("POST", CHAT, json=body) as running:
            lines = running.iter_lines()
            next(lines)
            with httpx.Client(base_url=worker.url, timeout=20) as other:
                assert code(other.post(CHAT, json={**body, "stream": False})) == (429, "queue_full")


def test_an_idle_echo_is_unloaded() -> None:
    with echo(auto_unload_minutes=0.005) as worker:
        assert said(worker.chat()) == "hello"
        eventually(lambda: worker.status().model_status is ModelState.UNLOADED)


def test_an_unload_gives_back_all_memory_but_what_leaks() -> None:
    with echo("weights 40MB, leak 10MB") as worker:
        before = worker.status().memory.footprint_bytes
        assert said(worker.chat()) == "hello"
        loaded = worker.status().memory
        assert loaded.mlx_active_bytes == 50_000_000
        assert loaded.footprint_bytes - before > 45_000_000
        assert worker.post("/unload").status_code == 200
        left = worker.status().memory
        assert left.mlx_active_bytes == 10_000_000
        assert loaded.footprint_bytes - left.footprint_bytes > 30_000_000


@pytest.mark.parametrize(("megabytes", "unloads"), [(400, 1), (60, 2)], ids=["at once", "the second time"])
def test_a_worker_whose_memory_does_not_come_back_makes_room_for_another(
    megabytes: int, unloads: int
) -> None:
    """What libraries keep after the first load is no leak; that much is allowed once."""
    with echo(f"leak {megabytes}MB") as worker:
        for _ in range(unloads):
            assert worker.process.poll() is None
            assert said(worker.chat()) == "hello"
            assert worker.status().memory.peak_bytes > megabytes * 1_000_000
            worker.post("/unload")
        assert worker.process.wait(20) == EXIT_TRY_AGAIN
        assert "of memory did not come back when the model was unloaded" in worker.process.communicate()[1]


def test_a_load_that_hangs_is_told_as_loading_and_requests_end_by_their_own_time() -> None:
    with echo("hang_load", request_timeout=0.3) as worker:
        assert code(worker.chat()) == (504, "generation_timeout")
        assert worker.status().model_status is ModelState.LOADING
        assert worker.http.get("/health").status_code == 200


def test_a_step_that_hangs_has_the_process_replaced_with_evidence() -> None:
    with echo("hang_step at 2 if poison", launch=LAUNCH_IMPATIENT) as worker:
        assert said(worker.chat("well and good")) == "well and good"
        told = worker.chat("this is poison")
        assert code(told) == (500, "generation_failed")
        assert "one step" in told.json()["error"]["message"]
        _, log = worker.process.communicate(timeout=20)
        assert worker.process.returncode == 70
        assert "The engine has been at one step for 2 s" in log
        assert "in before_token" in log, "where it hangs"


@pytest.mark.parametrize(("fault", "cause"), [("abort", signal.SIGABRT), ("segv", signal.SIGSEGV)])
def test_a_crash_ends_the_process_by_its_signal(fault: str, cause: signal.Signals) -> None:
    with echo(f"{fault} at 2 if poison") as worker:
        assert said(worker.chat("all is well")) == "all is well"
        exit_code, _ = ended_while_asked(worker, "all is poison")
        assert exit_code == -cause


def test_a_crash_can_come_within_a_load_and_once_for_all_processes(tmp_path: Path) -> None:
    script = f"segv at load once {tmp_path / 'it happened'}"
    with echo(script) as worker:
        assert ended_while_asked(worker, "hello")[0] == -signal.SIGSEGV
    with echo(script) as worker:
        assert said(worker.chat()) == "hello"


def test_memory_that_runs_out_costs_its_request_and_not_the_process() -> None:
    with echo("oom at 2 if poison") as worker:
        assert code(worker.chat("this poison")) == (500, "generation_failed")
        assert said(worker.chat("again")) == "again"
        worker.process.terminate()
        _, log = worker.process.communicate(timeout=20)
        assert "MemoryError" in log


def test_a_load_that_fails_is_kept_and_not_tried_at_once_but_on_request() -> None:
    with echo("fail_load once") as worker:
        refused = worker.chat()
        assert code(refused) == (503, "model_load_failed")
        assert "its script says so" in refused.json()["error"]["message"]
        assert code(worker.chat()) == (503, "model_load_failed"), "kept, not tried again at once"
        assert "its script says so" in (worker.status().error or "")
        assert worker.post("/load").status_code == 200
        assert said(worker.chat()) == "hello"


def test_tokens_that_end_within_characters_reach_no_client_as_such() -> None:
    with echo("bad_utf8") as worker:
        assert said(worker.chat("Grüße aus 東京 😀")) == "Grüße aus 東京 😀"


@pytest.mark.parametrize("testing", ["", "0"])
def test_outside_of_tests_an_echo_is_as_unknown_as_any_other_type(testing: str) -> None:
    def refusal(model_type: str) -> str:
        settings = {"name": "m", "model_path": "echo:", "model_type": model_type, "port": free_port()}
        command = [sys.executable, "-m", "mlxhub", "worker", "--settings", json.dumps(settings)]
        environment = os.environ | {"MLXHUB_TESTING": testing}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 2
        return done.stderr

    assert "model_type: Input should be 'lm'" in refusal("echo")
    assert refusal("echo") == refusal("ecco")


def test_where_something_is_tested_mlxhub_worker_serves_an_echo() -> None:
    port = free_port()
    settings = {"name": "m", "model_path": "echo:", "model_type": "echo", "port": port}
    command = [sys.executable, "-m", "mlxhub", "worker", "--settings", json.dumps(settings)]
    process = subprocess.Popen(command, env=os.environ | {"MLXHUB_TESTING": "1"}, stderr=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as http:
            eventually(lambda: answers(http), 20)
            assert http.get("/status").json()["model_type"] == "echo"
    finally:
        process.kill()
        process.wait(10)
