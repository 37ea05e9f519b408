"""The watchdog tells a step that does not end from one that has not had its time."""

import asyncio
import time

import pytest

from mlxhub.refusals import GenerationFailed
from mlxhub.worker.model_service import ModelService
from mlxhub.worker.watchdog import Watchdog
from tests.worker.fake_engine import FakeEngine
from tests.worker.test_model_service import Clock, begin, play, say, until


def test_a_wedged_engine_is_noticed_once_and_its_clients_are_told() -> None:
    async def story(service: ModelService, engine: FakeEngine) -> None:
        engine.hang = True
        running = begin(say(service))
        await until(lambda: engine.hangs)
        watchdog = Watchdog(service.thread, wedged_seconds=0.1, look_seconds=0.02)
        watching = begin(watchdog.watch(service.break_down))
        with pytest.raises(GenerationFailed, match="at one step for 0 s"):
            await running
        await watching
        assert watchdog.is_wedged
        engine.hang = False

    play(story)


def test_a_sleep_of_the_machine_in_the_middle_of_a_step_is_no_time_of_the_engine() -> None:
    clock = Clock()

    async def story(service: ModelService, engine: FakeEngine) -> None:
        engine.hang = True
        running = begin(say(service))
        await until(lambda: engine.hangs)
        watchdog = Watchdog(service.thread, clock, look_seconds=0.005)
        watching = begin(watchdog.watch(service.break_down))
        for _ in range(5):
            clock.now += 3600
            await asyncio.sleep(0.01)
        assert 0 < watchdog.stalled_seconds <= 5 * 2 * 0.005
        assert service.broken is None
        engine.hang = False
        assert await running == 1
        watching.cancel()

    play(story)


def test_many_short_steps_are_not_one_long_one() -> None:
    async def story(service: ModelService, _engine: FakeEngine) -> None:
        watchdog = Watchdog(service.thread, wedged_seconds=0.1, look_seconds=0.001)
        watching = begin(watchdog.watch(service.break_down))
        ends = time.monotonic() + 0.3
        while time.monotonic() < ends:
            assert await say(service) == 1
        assert service.broken is None
        watching.cancel()

    play(story)


def test_a_load_has_its_own_longer_limit() -> None:
    async def story(service: ModelService, engine: FakeEngine) -> None:
        engine.may_load.clear()
        loading = begin(say(service))
        await until(lambda: service.thread.is_loading)
        watchdog = Watchdog(service.thread, wedged_seconds=0.01, load_seconds=0.2, look_seconds=0.01)
        watching = begin(watchdog.watch(service.break_down))
        await asyncio.sleep(0.1)
        assert service.broken is None
        with pytest.raises(GenerationFailed, match="at a load for 0 s"):
            await loading
        await watching

    play(story)
