"""A limit on how long a client may take nothing, so that it does not hold a worker for ever."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from loguru import logger
from starlette.requests import ClientDisconnect
from starlette.types import Message, Send


@asynccontextmanager
async def limit_send(send: Send, seconds: float) -> AsyncIterator[Send]:
    """What is sent through it within takes at most `seconds` each, roughly: else ends in ClientDisconnect.

    One timer looks on: a timeout around each send was measured at 4 us, which streams pay for each token.
    """
    loop = asyncio.get_running_loop()
    since: float | None = None
    timer: asyncio.TimerHandle

    async def limited_send(message: Message) -> None:
        nonlocal since
        since = loop.time()
        await send(message)
        since = None

    def look() -> None:
        nonlocal timer
        if since is not None and loop.time() - since > seconds:
            limit.reschedule(loop.time())
        else:
            timer = loop.call_later(seconds / 4, look)

    try:
        async with asyncio.timeout(None) as limit:
            timer = loop.call_later(seconds / 4, look)
            try:
                yield limited_send
            finally:
                timer.cancel()
    except TimeoutError:
        logger.info("The client took nothing for {:g} s: its exchange ends.", seconds)
        raise ClientDisconnect from None
