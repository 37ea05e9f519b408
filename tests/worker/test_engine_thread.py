"""The engine thread, with an engine that does what it is told."""

import queue
from collections.abc import Iterator

import pytest

from mlxhub.worker.engine_thread import EngineThread
from mlxhub.worker.engines.engine import Delta, PreparedRequest, SamplingOptions, Started
from tests.worker.fake_engine import FakeEngine

ONE_TOKEN = PreparedRequest((1,), 1, SamplingOptions())
Delivered = queue.SimpleQueue[list[Delta]]


@pytest.fixture
def delivered() -> Delivered:
    return queue.SimpleQueue()


@pytest.fixture
def thread(delivered: Delivered, patience_seconds: float) -> Iterator[EngineThread]:
    thread = EngineThread(FakeEngine(), "m", delivered.put, lambda _: None, patience_seconds)
    thread.start()
    thread.load().result(10)
    yield thread
    assert thread.stop(10)


def started(deltas: list[Delta]) -> list[int]:
    return [delta.handle for delta in deltas if isinstance(delta, Started)]


@pytest.mark.parametrize("patience_seconds", [60.0])
def test_who_comes_first_waits_for_who_is_coming(thread: EngineThread, delivered: Delivered) -> None:
    with thread.coming():
        thread.submit(0, ONE_TOKEN)
        with pytest.raises(queue.Empty):
            delivered.get(timeout=0.2)
    thread.submit(1, ONE_TOKEN)
    assert started(delivered.get(timeout=10)) == [0, 1]


@pytest.mark.parametrize("patience_seconds", [0.05])
def test_patience_has_an_end(thread: EngineThread, delivered: Delivered) -> None:
    with thread.coming():
        thread.submit(0, ONE_TOKEN)
        assert started(delivered.get(timeout=10)) == [0]


@pytest.mark.parametrize("patience_seconds", [60.0])
def test_who_comes_alone_does_not_wait(thread: EngineThread, delivered: Delivered) -> None:
    thread.submit(0, ONE_TOKEN)
    assert started(delivered.get(timeout=10)) == [0]
