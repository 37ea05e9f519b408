"""Requests with pictures wait until there is room for them, and none of them for ever."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from mlxhub.core.medium import Medium
from mlxhub.refusals import RequestTimeout
from mlxhub.worker.engines.engine import (
    ChatPrompt,
    GenerationRequest,
    PreparedRequest,
    SamplingOptions,
)
from mlxhub.worker.engines.seen import Place, Seen
from mlxhub.worker.generation import Generation
from mlxhub.worker.media_room import MediaRoom

LARGEST = 1536 * 1536 * 3 * 2 * 4


def asks(pictures: int) -> GenerationRequest:
    prompt = ChatPrompt((), (), {}, (Medium("image", "data:,"),) * pictures)
    return GenerationRequest(prompt, max_tokens=1, sampling=SamplingOptions())


def prepared(size: int) -> PreparedRequest:
    seen = Seen({"pixel_values": memoryview(bytes(size))}, (1,), (Place("image", 0, 1),))
    return replace(PreparedRequest((1,), 1, SamplingOptions()), seen=seen)


def run(test: Callable[[MediaRoom], Awaitable[None]], pictures: int = 2) -> None:
    async def within() -> None:
        async with asyncio.timeout(5):
            await test(MediaRoom(pictures * LARGEST))

    asyncio.run(within())


async def is_waiting(entering: "asyncio.Task[None]") -> bool:
    for _ in range(5):
        await asyncio.sleep(0)
    return not entering.done()


def generation() -> Generation:
    return Generation(range(1), 1)


def test_who_does_not_fit_waits_for_who_leaves() -> None:
    async def test(room: MediaRoom) -> None:
        first, second = generation(), generation()
        await room.enter(first, asks(2))
        entering = asyncio.ensure_future(room.enter(second, asks(1)))
        assert await is_waiting(entering)
        await room.enter(generation(), asks(0))  # text never waits
        room.leave(first)
        await entering

    run(test)


def test_who_turns_out_to_be_small_makes_room() -> None:
    async def test(room: MediaRoom) -> None:
        first = generation()
        await room.enter(first, asks(2))
        entering = asyncio.ensure_future(room.enter(generation(), asks(1)))
        assert await is_waiting(entering)
        room.settle(first, prepared(100))
        await entering

    run(test)


def test_alone_every_request_fits() -> None:
    async def test(room: MediaRoom) -> None:
        await room.enter(generation(), asks(16))

    run(test)


def test_a_request_that_ends_waits_no_longer() -> None:
    async def test(room: MediaRoom) -> None:
        ending = generation()
        await room.enter(generation(), asks(2))
        entering = asyncio.ensure_future(room.enter(ending, asks(1)))
        assert await is_waiting(entering)
        ending.fail(RequestTimeout(1))
        with pytest.raises(RequestTimeout):
            await entering

    run(test)
