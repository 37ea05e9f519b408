"""Attack line A37 over HTTP: a template that was let through, and goes too far for certain messages."""

import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import httpx
import psutil
import pytest

from mlxhub.demo import model_directory
from tests.eventually import eventually
from tests.registry.test_template_renderer import DOES
from tests.worker.processes import RunWorker, Worker, running_worker

# Two of computing; this allows for a busy test machine.
REFUSED_SECONDS = 8.0
USUAL_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 2.0
GROWTH_BYTES = 20_000_000
ASKING = "a user who asks 'boom {}'"


def hostile_model(directory: Path) -> Path:
    """The demo, until somebody says boom."""
    shutil.copytree(model_directory(), directory)
    template = directory / "chat_template.jinja"
    asked = "{%- set sesame = 'sesame' -%}"
    cases = [
        f"{{%- if 'boom {kind}' in messages[-1].content -%}}{does}{{%- endif -%}}"
        for kind, (does, _) in DOES.items()
    ]
    template.write_text(asked + "".join(cases) + template.read_text())
    return directory


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hostile_model(tmp_path_factory.mktemp("models") / "hostile")


@pytest.fixture(scope="module")
def hostile(model: Path) -> Iterator[Worker]:
    with running_worker(model_path=str(model), preload=True) as running:
        assert running.chat("ping", max_tokens=5).status_code == 200
        yield running


class Pulse:
    """How long /livez took meanwhile."""

    def __init__(self, worker: Worker) -> None:
        self.seconds: list[float] = []
        self._url = worker.url
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _ask(self) -> None:
        with httpx.Client(base_url=self._url, timeout=20) as http:
            while not self._over.wait(0.02):
                begun = time.monotonic()
                assert http.get("/livez").status_code == 200
                self.seconds.append(time.monotonic() - begun)


def renderer_of(worker: Worker) -> psutil.Process:
    (found,) = psutil.Process(worker.process.pid).children()
    assert found.cmdline()[1:] == ["-I", "-m", "mlxhub.registry.template_rendering", "m"]
    return found


def is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("kind", DOES)
def test_a37_only_the_request_that_set_it_off_is_refused(hostile: Worker, kind: str) -> None:
    assert hostile.chat("ping", max_tokens=5).status_code == 200
    before = renderer_of(hostile).pid
    worker = psutil.Process(hostile.process.pid)
    resident = worker.memory_info().rss
    begun = time.monotonic()
    with Pulse(hostile) as pulse:
        response = hostile.chat(ASKING.format(kind), max_tokens=5)
        seconds = time.monotonic() - begun
    error: dict[str, Any] = response.json()["error"]
    assert response.status_code == 400
    if kind == "50 MB":
        # No context holds it: clients then shorten what they send.
        assert error["code"] == "context_length_exceeded"
    else:
        assert error["param"] == "messages"
        assert error["message"] == f"The model's chat template {DOES[kind][1]} for these messages."
    assert seconds < REFUSED_SECONDS
    assert worker.memory_info().rss - resident < GROWTH_BYTES
    usual = sorted(pulse.seconds)[len(pulse.seconds) // 2] if pulse.seconds else 0.0
    assert usual <= USUAL_PAUSE_SECONDS
    assert max(pulse.seconds, default=0.0) < LONGEST_PAUSE_SECONDS
    assert hostile.chat("ping", max_tokens=5).status_code == 200
    assert renderer_of(hostile).pid != before


def test_a37_also_where_tokens_are_only_counted(hostile: Worker) -> None:
    asked = {"model": "m", "messages": [{"role": "user", "content": ASKING.format("loops")}]}
    response = hostile.post("/v1/messages/count_tokens", asked)
    assert response.status_code == 400
    assert "did not end within 2 s of computing" in response.json()["error"]["message"]


def test_others_who_wait_are_answered_in_their_turn(hostile: Worker) -> None:
    statuses: dict[str, int] = {}

    def ask(text: str) -> None:
        with httpx.Client(base_url=hostile.url, timeout=30) as http:
            messages = [{"role": "user", "content": text}]
            sent = {"model": "m", "messages": messages, "max_tokens": 3}
            statuses[text] = http.post("/v1/chat/completions", json=sent).status_code

    asking = [
        threading.Thread(target=ask, args=(text,)) for text in ("boom loops", "ping", "boom loops!", "pong")
    ]
    for each in asking:
        each.start()
    for each in asking:
        each.join()
    assert statuses == {"boom loops": 400, "ping": 200, "boom loops!": 400, "pong": 200}


def test_a_renderer_that_somebody_killed_is_replaced(hostile: Worker) -> None:
    assert hostile.chat("ping", max_tokens=5).status_code == 200
    killed = renderer_of(hostile)
    killed.send_signal(signal.SIGKILL)
    eventually(lambda: is_gone(killed))
    assert hostile.chat("ping", max_tokens=5).status_code == 200
    assert renderer_of(hostile) != killed


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_it_does_not_outlive_the_worker(run_worker: RunWorker, model: Path, how: signal.Signals) -> None:
    with run_worker(model_path=str(model), preload=True) as worker:
        assert worker.chat("ping", max_tokens=5).status_code == 200
        renderer = renderer_of(worker)
        worker.process.send_signal(how)
        worker.process.wait(10)
        eventually(lambda: is_gone(renderer), 1.0)


def test_it_does_not_outlive_a_worker_that_was_killed_while_it_worked(
    run_worker: RunWorker, model: Path
) -> None:
    with run_worker(model_path=str(model), preload=True) as worker:
        assert worker.chat("ping", max_tokens=5).status_code == 200
        renderer = renderer_of(worker)
        before = sum(renderer.cpu_times()[:2])
        asking = threading.Thread(target=_ask_in_vain, args=(worker.url,))
        asking.start()
        eventually(lambda: sum(renderer.cpu_times()[:2]) > before + 0.3)
        worker.process.send_signal(signal.SIGKILL)
        asking.join()
        eventually(lambda: is_gone(renderer), REFUSED_SECONDS)


def test_loads_and_unloads_leave_no_process_behind(run_worker: RunWorker, model: Path) -> None:
    with run_worker(model_path=str(model)) as worker:
        process = psutil.Process(worker.process.pid)

        def cycle() -> None:
            assert worker.post("/load").status_code == 200
            assert worker.chat("ping", max_tokens=1).status_code == 200
            assert worker.post("/unload").status_code == 200
            assert process.children() == []

        cycle()
        before = process.num_fds(), process.num_threads()
        for _ in range(30):
            cycle()
        assert (process.num_fds(), process.num_threads()) == before


def test_loads_that_fail_leave_no_process_behind(run_worker: RunWorker, model: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(model, broken)
    (broken / "tokenizer.json").write_text("{}")
    with run_worker(model_path=str(broken)) as worker:
        for _ in range(3):
            assert worker.post("/load").status_code == 503
            assert psutil.Process(worker.process.pid).children() == []


def _ask_in_vain(url: str) -> None:
    messages = [{"role": "user", "content": ASKING.format("loops")}]
    with httpx.Client(base_url=url, timeout=20) as http, pytest.raises(httpx.TransportError):
        http.post("/v1/chat/completions", json={"model": "m", "messages": messages})
