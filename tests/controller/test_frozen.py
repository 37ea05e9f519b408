"""A process that takes connections and never answers is ended; one that somebody stopped is not."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mlxhub.controller.frozen import INTERVAL_SECONDS, FrozenProcesses
from mlxhub.core.repair import FROZEN_SECONDS
from mlxhub.files.process_look import ProcessLook, look_at_process
from tests.controller.hub import ALPHA, BETA, RunningHub, running_hub
from tests.eventually import eventually
from tests.fakes.waiting import until

pytestmark = pytest.mark.anyio

TURN_SECONDS = 0.01
PATIENCE_SECONDS = TURN_SECONDS * FROZEN_SECONDS / INTERVAL_SECONDS
RUNS = ProcessLook(is_stopped=False, description="sleeping")
STOPPED = ProcessLook(is_stopped=True, description="stopped")


@asynccontextmanager
async def turns(
    hub: RunningHub,
    look: ProcessLook | None = RUNS,
    look_at: Callable[[int], ProcessLook | None] | None = None,
) -> AsyncIterator[Callable[[float], Awaitable[None]]]:
    """What lets it run for so many seconds, a hundredth of one a turn. `look`: what the system shows."""
    frozen = FrozenProcesses(
        hub.controller.observer,
        hub.controller.operations,
        TURN_SECONDS,
        look_at=look_at or (lambda _pid: look),
    )

    async def run_for(seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await frozen.run()

    yield run_for


async def is_muted(hub: RunningHub, name: str) -> None:
    hub.workers[name].muted = True
    await until(lambda: hub.controller.observer.facts[name].hangs)


def killed(hub: RunningHub, name: str) -> bool:
    return ("kill", hub.label(name)) in hub.launchd.calls


async def test_a_frozen_process_is_ended(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA, BETA) as hub:
        await is_muted(hub, "alpha")
        async with turns(hub) as run_for:
            running = asyncio.ensure_future(run_for(30))
            await until(lambda: killed(hub, "alpha"))
            running.cancel()
        assert not killed(hub, "beta")


async def test_an_error_about_one_saves_no_other(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA, BETA) as hub:
        agent = hub.controller.observer.facts["alpha"].agent
        assert agent is not None

        def look_at(number: int) -> ProcessLook:
            if number == agent.pid:
                raise ValueError("a system that nobody expected")
            return RUNS

        await is_muted(hub, "alpha")
        await is_muted(hub, "beta")
        async with turns(hub, look_at=look_at) as run_for:
            running = asyncio.ensure_future(run_for(30))
            await until(lambda: killed(hub, "beta"))
            running.cancel()
        assert not killed(hub, "alpha")


async def test_one_that_answers_again_in_time_begins_anew(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA) as hub, turns(hub) as run_for:
        for _ in range(3):
            await is_muted(hub, "alpha")
            await run_for(0.7 * PATIENCE_SECONDS)
            hub.workers["alpha"].muted = False
            await until(lambda: not hub.controller.observer.facts["alpha"].hangs)
            await run_for(3 * TURN_SECONDS)
        assert not killed(hub, "alpha")


@pytest.mark.parametrize("look", [STOPPED, None], ids=["stopped by a person", "not to be seen"])
async def test_one_that_somebody_stopped_is_not_taken_for_frozen(
    tmp_path: Path, look: ProcessLook | None
) -> None:
    async with running_hub(tmp_path, ALPHA) as hub:
        await is_muted(hub, "alpha")
        async with turns(hub, look) as run_for:
            await run_for(3 * PATIENCE_SECONDS)
        assert not killed(hub, "alpha")


async def test_a_process_that_is_not_up_is_none_that_hangs(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA) as hub:
        await hub.workers["alpha"].die()
        await until(lambda: hub.controller.observer.facts["alpha"].silent)
        assert not hub.controller.observer.facts["alpha"].hangs
        async with turns(hub) as run_for:
            await run_for(3 * PATIENCE_SECONDS)
        assert not killed(hub, "alpha")


def test_a_stopped_process_is_known_by_what_the_system_shows() -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        look = look_at_process(process.pid)
        assert look is not None
        assert not look.is_stopped
        os.kill(process.pid, signal.SIGSTOP)
        eventually(lambda: (look := look_at_process(process.pid)) is not None and look.is_stopped, 5)
    finally:
        process.kill()
        process.wait(10)
    assert look_at_process(process.pid) is None
