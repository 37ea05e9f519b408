"""1,000 streams at once through the controller."""

import asyncio
import contextlib
import json
import os
import resource
import signal
from collections.abc import Iterator
from dataclasses import dataclass

import httptools
import psutil
import pytest

from tests.chaos.conftest import installed
from tests.chaos.exchanges import CONTROLLER
from tests.chaos.place import Place
from tests.eventually import eventually
from tests.stories.conftest import LiveHub

MODELS = ("one", "two")
STREAMS = 1000
# The most that may be answered together; as many wait in the worker's own line.
STREAMS_EACH = STREAMS // len(MODELS) // 2
LIMIT_SECONDS = 90.0


@pytest.fixture
def wide_place(testing_hub: LiveHub, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    script = "echo: token 0.1"
    more = f"max_concurrency: {STREAMS_EACH}, queue_size: {STREAMS_EACH}"
    testing_hub.write(
        *(f"{{name: {name}, model_type: echo, model_path: '{script}', {more}}}" for name in MODELS)
    )
    with installed(testing_hub, monkeypatch) as place:
        yield place


@pytest.fixture
def enough_open_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 2 * STREAMS), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Answer:
    """One HTTP response, as far as it has come."""

    def __init__(self) -> None:
        self.body = b""
        self.whole = False

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.whole = True


@dataclass(frozen=True, slots=True)
class Told:
    status: int
    whole: bool
    said: str
    last: str


async def ask(port: int, model: str, words: str) -> Told:
    messages = [{"role": "user", "content": words}]
    body = json.dumps({"model": model, "stream": True, "messages": messages})
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()
    )
    answer = Answer()
    parser = httptools.HttpResponseParser(answer)
    try:
        while piece := await reader.read(65_536):
            parser.feed_data(piece)
    finally:
        writer.close()
    *events, last = [line.removeprefix("data: ") for line in answer.body.decode().split("\n\n") if line]
    choices = [choice for event in events for choice in json.loads(event).get("choices", ())]
    said = "".join(choice["delta"].get("content") or "" for choice in choices)
    return Told(parser.get_status_code(), answer.whole, said, last)


@contextlib.contextmanager
def stopped(pids: list[int]) -> Iterator[None]:
    """They run not, and the kernel takes connections for them."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


async def ask_together(place: Place, controller: psutil.Process, workers: list[int]) -> list[Told]:
    """The workers go on when all requests have come as far as to them."""
    ports = set(place.ports.values())

    def reached() -> int:
        connections = controller.net_connections("tcp")
        return sum(bool(each.raddr) and each.raddr.port in ports for each in connections)

    async with asyncio.timeout(LIMIT_SECONDS), asyncio.TaskGroup() as tasks:
        with stopped(workers):
            asking = [
                tasks.create_task(
                    ask(place.hub.port, MODELS[number % len(MODELS)], f"stream {number} of many")
                )
                for number in range(STREAMS)
            ]
            await asyncio.to_thread(eventually, lambda: reached() >= STREAMS, LIMIT_SECONDS)
    return [each.result() for each in asking]


@pytest.mark.usefixtures("enough_open_files")
def test_a_thousand_streams_at_once_are_all_answered_right(wide_place: Place) -> None:
    place = wide_place
    place.hub.ok("load-model", *MODELS)
    census = place.census()
    [pid] = census[CONTROLLER]
    controller = psutil.Process(pid)
    before = controller.memory_info().rss
    told = asyncio.run(ask_together(place, controller, [pid for name in MODELS for pid in census[name]]))
    grown = controller.memory_info().rss - before
    print(f"the controller's memory grew by {grown / 1e6:.0f} MB with {STREAMS} streams")

    assert told == [Told(200, True, f"stream {number} of many", "[DONE]") for number in range(STREAMS)]
    assert place.census() == census
    # All of them are gone again, but for those connections that are kept for the next.
    eventually(lambda: controller.num_fds() < STREAMS / 2)
