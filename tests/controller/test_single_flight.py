"""One run for all who wait, and whatever comes of it reaches each of them."""

import asyncio

import pytest

from mlxhub.controller.single_flight import SingleFlight

pytestmark = pytest.mark.anyio


async def test_all_who_ask_at_the_same_time_get_the_result_of_one_run() -> None:
    runs = 0

    async def work() -> int:
        nonlocal runs
        runs += 1
        await asyncio.sleep(0)
        return runs

    async with asyncio.TaskGroup() as tasks:
        flights: SingleFlight[int] = SingleFlight(tasks)
        assert await asyncio.gather(*(flights.run("a", work) for _ in range(5))) == [1] * 5
        assert await flights.run("a", work) == 2


async def test_an_unexpected_error_reaches_all_who_wait_and_ends_nothing_else() -> None:
    async def work() -> int:
        await asyncio.sleep(0)
        raise ZeroDivisionError

    async with asyncio.TaskGroup() as tasks:
        others = tasks.create_task(asyncio.sleep(0.05, result="went on"))
        flights: SingleFlight[int] = SingleFlight(tasks)
        results = await asyncio.gather(*(flights.run("a", work) for _ in range(3)), return_exceptions=True)
        assert [type(result) for result in results] == [ZeroDivisionError] * 3
    assert others.result() == "went on"
