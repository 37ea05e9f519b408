"""Wait for a fact that sends no event, with a limit."""

import asyncio
from collections.abc import Callable

LIMIT_SECONDS = 5.0


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_SECONDS):
        while not is_so():  # noqa: ASYNC110  whoever changes it knows of no event
            await asyncio.sleep(0.005)
