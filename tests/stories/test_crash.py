"""Processes are killed; what must go on goes on."""

import os
import signal
import threading
import time

import httpx

from tests.eventually import eventually
from tests.stories.conftest import LiveHub
from tests.stories.test_chat import STORY, says

DEMO = "{name: demo, model_path: 'builtin:demo'}"


def test_a_killed_worker_comes_back_by_the_supervisor_alone(hub: LiveHub) -> None:
    hub.write(DEMO)
    hub.ok("install")
    controller = hub.json("status")["controller"]["pid"]
    before, key = hub.model("demo"), hub.bearer("api")
    # It cannot help; nor is it asked for the pid, since each command waits for it before it looks for itself.
    os.kill(controller, signal.SIGSTOP)
    try:
        os.kill(before["pid"], signal.SIGKILL)
        # launchd lets 10 s pass from start to start.
        after = eventually(lambda: worker_pid(before["port"], key), 20)
        assert after != before["pid"]
        shown = hub.model("demo")
        assert (shown["process"], shown["pid"]) == ("running", after)
        with hub.client(before["port"]) as client:
            answer = client.chat.completions.create(model="demo", messages=says("ping"))
        assert answer.choices[0].message.content == "pong"
    finally:
        os.kill(controller, signal.SIGCONT)
    with hub.client() as client:
        answer = client.chat.completions.create(model="demo", messages=says("ping"))
    assert answer.choices[0].message.content == "pong"


def worker_pid(port: int, key: dict[str, str]) -> int | None:
    """As it says itself, None while nobody answers there."""
    try:
        return int(httpx.get(f"http://127.0.0.1:{port}/status", headers=key).json()["pid"])
    except httpx.TransportError:
        return None


def test_a_killed_controller_breaks_no_stream_and_adopts_what_it_finds(hub: LiveHub) -> None:
    hub.write(DEMO)
    hub.ok("install")
    demo = hub.model("demo")
    controller = hub.json("status")["controller"]["pid"]
    seen: list[str] = []
    first = threading.Event()

    def stream() -> None:
        with hub.client(demo["port"]) as client:
            for chunk in client.chat.completions.create(
                model="demo", messages=says(STORY), temperature=0, stream=True
            ):
                seen.append(chunk.choices[0].finish_reason or chunk.choices[0].delta.content or "")
                first.set()
                time.sleep(0.005)  # a reader at reading speed: the answer lasts longer than the kill

    thread = threading.Thread(target=stream)
    thread.start()
    assert first.wait(30)
    at_the_kill = len(seen)
    os.kill(controller, signal.SIGKILL)
    thread.join(60)
    assert len(seen) > at_the_kill + 50
    assert seen[-1] == "stop"

    eventually(lambda: hub.json("status")["controller"]["process"] == "running", 30)
    status = hub.json("status")
    assert status["controller"]["pid"] != controller
    adopted = eventually(lambda: hub.model("demo") if hub.model("demo")["memory"] == "ready" else None, 5)
    assert adopted["pid"] == demo["pid"]


def test_a_request_starts_a_model_that_is_down_and_loads_it_once(hub: LiveHub) -> None:
    hub.write(DEMO, "{name: lazy, model_path: 'builtin:demo', default: false}")
    hub.ok("install")
    assert hub.model("lazy")["process"] == "stopped"
    answers: list[str | None] = []

    def ask() -> None:
        with hub.client() as client:
            answer = client.chat.completions.create(model="lazy", messages=says("ping"))
            answers.append(answer.choices[0].message.content)

    threads = [threading.Thread(target=ask) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == ["pong"] * 5
    assert (hub.model("lazy")["process"], hub.model("lazy")["restarts"]) == ("running", 0)
