"""The model's state: who loads, waits or is refused, and what unloading and draining do to those who run."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from mlxhub.core.config import WorkerSettings
from mlxhub.core.lifecycle import ModelState
from mlxhub.errors import LoadFailed, MlxhubError, ModelBusy, NotLoaded, UnknownModel
from mlxhub.refusals import Draining, GenerationFailed, QueueFull, QueueTimeout, RequestTimeout
from mlxhub.worker import model_service
from mlxhub.worker.engines.engine import Finished, GenerationRequest, TextPrompt
from mlxhub.worker.model_service import ModelService
from tests.worker.fake_engine import FakeEngine

Story = Callable[[ModelService, FakeEngine], Coroutine[Any, Any, None]]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def play(story: Story, clock: Clock | None = None, places: int = 2, **settings: Any) -> None:
    """Run a story against a running service over a fake engine."""

    async def run() -> None:
        engine = FakeEngine(places)
        wanted = {"name": "m", "model_path": "x", "port": 1, "max_concurrency": 2, **settings}
        stopped: list[None] = []
        service = ModelService(
            WorkerSettings.model_validate(wanted), engine, lambda: stopped.append(None), clock or Clock()
        )
        async with asyncio.timeout(10), service.running():
            try:
                await story(service, engine)
            finally:
                for may in (engine.may_load, engine.may_prepare, engine.may_speak):
                    may.set()
        assert service.stopped_cleanly
        assert not engine.loaded
        assert bool(stopped) == (service.broken is not None)

    asyncio.run(run())


async def say(service: ModelService, tokens: int = 3, answers: int = 1) -> int:
    """One request from its beginning to its end; the number of rows that finished."""
    finished = 0
    async with service.generate(
        [GenerationRequest(TextPrompt("a"), max_tokens=tokens)], answers
    ) as generation:
        while generation.has_more:
            finished += sum(isinstance(delta, Finished) for delta in await generation.take())
    return finished


async def until(fact: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not fact():  # noqa: ASYNC110 - facts of another thread
            await asyncio.sleep(0.001)


def begin(work: Awaitable[Any]) -> "asyncio.Future[Any]":
    return asyncio.ensure_future(work)


def test_one_load_serves_all_who_wait() -> None:
    async def story(service: ModelService, engine: FakeEngine) -> None:
        engine.may_load.clear()
        asking = [begin(say(service)) for _ in range(4)]
        await until(lambda: service.in_flight == 4)
        assert service.state is ModelState.LOADING
        engine.may_load.set()
        assert await asyncio.gather(*asking) == [1, 1, 1, 1]
        assert engine.loads == 1
        assert service.counters.completed == 4
        assert service.counters.completion_tokens == 12

    play(story)


def test_a_client_that_leaves_during_the_load_does_not_end_it_for_others() -> None:
    async def story(service: ModelService, engine: FakeEngine) -> None:
        engine.may_load.clear()
        leaver, other = begin(say(service)), begin(say(service))
        await until(lambda: service.in_flight == 2)
        leaver.cancel()
        await until(lambda: service.in_flight == 1)
        engine.may_load.set()
        assert await other == 1
        assert service.counters.cancelled == 1

    play(story)


def test_a_failed_load_is_kept_and_tried_again_after_its_time() -> None:
    clock = Clock()

    async def story(service: ModelService, engine: FakeEngine) -> None:
        engine.load_error = "no weights"
        for expected_loads in (1, 1):
            with pytest.raises(LoadFailed, match="no weights"):
                await say(service)
            assert (engine.loads, service.residency.error) == (expected_loads, "no weights")
        clock.now += 1.1
        with pytest.raises(LoadFailed):
            await say(service)
        assert engine.loads == 2
        clock.now += 1.1  # the second pause is two seconds
        with pytest.raises(LoadFailed):
            await say(service)
        assert engine.loads == 2
        engine.load_error = None
        await service.load()
        assert service.residency.error is None
        assert await say(service) == 1

    play(story, clock)


def test_all_who_wait_for_a_load_hear_of_its_failure() -> None:
    async def story(service: ModelService, engine: FakeEngine) -> None:
        engine.may_load.clear()
        engine.load_error = "broken"
        asking = [begin(say(service)) for _ in range(3)]
        await until(lambda: service.in_flight == 3)
        engine.may_load.set()
        heard = await asyncio.gather(*asking, return_exceptions=True)
        assert [type(error) for error in heard] == [LoadFailed] * 3
        assert engine.loads == 1

    play(story)


def test_without_jit_nothing_is_loaded_for_a_request() -> None:
    async def story(service: ModelService, engine: FakeEngine) -> None:
        with pytest.raises(NotLoaded):
            await say(service)
        assert engine.loads == 0
        await service.load()
        assert await say(service) == 1

    play(story, jit=False)


def test_the_queue_is_bounded_in_rows() -> None:
    async def story(service: ModelService, engine: FakeEngine) -> None:
        engine.may_speak.clear()
        asking = [begin(say(service, answers=2)), begin(say(service))]
        await until(lambda: service.rows == 3)
        with pytest.raises(QueueFull):
            await say(service)
        engine.may_speak.set()
        assert await asyncio.gather(*asking) == [2, 1]
        assert await say(service, answers=3) == 3

    play(story, queue_size=1)


def test_who_waits_too_long_for_a_place_is_sent_away() -> None:
    async def story(service: ModelService, engine: FakeEngine) -> None:
        engine.may_speak.clear()
        running = begin(say(service))
        await until(lambda: service.thread.measured.rows == 1)
        with pytest.raises(QueueTimeout):
            await say(service)
        await until(lambda: engine.cancelled == [1])
        engine.may_speak.set()
        assert await running == 1

    play(story, places=1, queue_timeout=0.05)


def test_a_broken_step_fails_those_in_the_batch_and_the_next_request_is_served() -> None:
    async def story(service: ModelService, engine: FakeEngine) -> None:
        engine.may_speak.clear()
        running = begin(say(service))
        await until(lambda: service.thread.measured.rows == 1)
        engine.break_step = ValueError("secret")
        with pytest.raises(GenerationFailed) as failed:
            await running
        assert "secret" not in str(failed.value)
        engine.may_speak.set()
        assert await say(service) == 1
        assert service.counters.failed == 1

    play(story)


def test_unload_if_idle_refuses_while_anyone_is_served_or_waits() -> None:
    async def story(service: ModelService, engine: FakeEngine) -> None:
        engine.may_load.clear()
        asking = begin(say(service))
        await until(lambda: service.state is ModelState.LOADING)
        with pytest.raises(ModelBusy):
            await service.unload(if_idle=True)
        engine.may_load.set()
        assert await asking == 1
        await service.unload(if_idle=True)
        assert service.state is ModelState.UNLOADED
        await service.unload(if_idle=True)

    play(story)


def test_unload_lets_running_answers_finish_and_newcomers_load_again() -> None:
    async def story(service: ModelService, engine: FakeEngine) -> None:
        engine.may_speak.clear()
        running = begin(say(service))
        await until(lambda: service.thread.measured.rows == 1)
        unloading = begin(service.unload(if_idle=False))
        await until(lambda: service.state is ModelState.UNLOADING)
        newcomer = begin(say(service))
        await until(lambda: service.in_flight == 2)
        engine.may_speak.set()
        assert await running == 1
        await unloading
        assert await newcomer == 1
        assert engine.loads == 2

    play(story)


def test_unload_ends_answers_that_take_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_service, "DRAIN_SECONDS", 0.05)

    async def story(service: ModelService, engine: FakeEngine) -> None:
        engine.may_speak.clear()
        running = begin(say(service))
        await until(lambda: service.thread.measured.rows == 1)
        await service.unload(if_idle=False)
        with pytest.raises(GenerationFailed, match="unloaded"):
            await running
        assert not engine.loaded

    play(story)


def test_idleness_unloads_and_use_puts_it_off() -> None:
    async def story(service: ModelService, engine: FakeEngine) -> None:
        await say(service)
        assert service.unload_in_seconds is not None
        engine.may_speak.clear()
        running = begin(say(service))
        await until(lambda: service.thread.measured.rows == 1)
        assert service.unload_in_seconds is None
        await asyncio.sleep(0.15)
        assert service.state is ModelState.READY, "longer than the idle time, but busy"
        engine.may_speak.set()
        await running
        await until(lambda: service.state is ModelState.UNLOADED)
        assert service.unload_in_seconds is None
        assert await say(service) == 1

    play(story, auto_unload_minutes=0.1 / 60)


def test_draining_refuses_newcomers_and_the_end_reaches_everyone() -> None:
    async def story(service: ModelService, engine: FakeEngine) -> None:
        engine.may_load.clear()
        waiting = begin(say(service))
        await until(lambda: service.state is ModelState.LOADING)
        service.begin_drain()
        for refused in (say(service), service.load()):
            with pytest.raises(Draining):
                await refused
        assert not service.is_idle
        service.end_rest()
        with pytest.raises(Draining):
            await waiting
        assert service.is_idle
        assert service.can_serve is False

    play(story)


def test_an_explicit_load_during_a_load_waits_for_the_same() -> None:
    async def story(service: ModelService, engine: FakeEngine) -> None:
        engine.may_load.clear()
        loading = [begin(service.load()) for _ in range(3)]
        await until(lambda: engine.loads == 1)
        engine.may_load.set()
        await asyncio.gather(*loading)
        assert engine.loads == 1

    play(story)


def test_only_its_own_ids_mean_the_model() -> None:
    async def story(service: ModelService, _engine: FakeEngine) -> None:
        service.check_model("m")
        service.check_model("gpt-4o")
        with pytest.raises(UnknownModel):
            service.check_model("gpt-5")

    play(story, aliases=["gpt-4o"])


def test_every_error_of_a_request_leaves_nothing_behind() -> None:
    async def story(service: ModelService, engine: FakeEngine) -> None:
        engine.load_error = "x"
        with pytest.raises(MlxhubError):
            await say(service, answers=2)
        assert (service.rows, service.in_flight) == (0, 0)

    play(story)


def test_an_engine_thread_that_dies_ends_the_process_and_tells_its_clients() -> None:
    async def story(service: ModelService, engine: FakeEngine) -> None:
        engine.may_speak.clear()
        running = begin(say(service))
        await until(lambda: service.thread.measured.rows == 1)
        engine.break_fail_all = True
        engine.break_step = ValueError("beyond repair")
        with pytest.raises(GenerationFailed, match="died"):
            await running
        assert service.broken is not None
        with pytest.raises(Draining):
            await say(service)
        engine.loaded = False

    play(story)


@pytest.mark.parametrize("stage", ["load", "prepare", "queue", "answer"])
def test_a_request_that_takes_too_long_ends_at_whatever_it_waits_for(stage: str) -> None:
    async def story(service: ModelService, engine: FakeEngine) -> None:
        may = {"load": engine.may_load, "prepare": engine.may_prepare}.get(stage, engine.may_speak)
        may.clear()
        with pytest.raises(RequestTimeout, match=r"within 0\.2 s"):
            await say(service)
        assert service.is_idle
        may.set()
        engine.places = 2
        assert await say(service) == 1
        assert (service.counters.failed, service.counters.completed) == (1, 1)

    play(story, places=0 if stage == "queue" else 2, request_timeout=0.2)
