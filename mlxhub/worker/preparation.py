"""From requests to tokens and grammars, beside the event loop and the engine."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from mlxhub.worker.engine_thread import EngineThread
from mlxhub.worker.engines.content import media_of
from mlxhub.worker.engines.engine import Asked, GenerationRequest, Prepared, PreparedRequest
from mlxhub.worker.generation import Generation
from mlxhub.worker.linked_media import LinkedMedia, linking_prompt
from mlxhub.worker.media_room import MediaRoom

Given = TypeVar("Given")
Result = TypeVar("Result")


class Preparation:
    """Grammars have a thread of their own: one that takes seconds holds up no request without any.

    So have videos, which take half a minute.
    """

    def __init__(self, thread: EngineThread) -> None:
        self._thread = thread
        self._linked = LinkedMedia()
        self._room = MediaRoom()
        self._preparing = ThreadPoolExecutor(1, "prepare")
        self._watching = ThreadPoolExecutor(1, "watch")
        self._compiling = ThreadPoolExecutor(1, "compile")

    async def prepare(self, generation: Generation, request: Asked) -> Prepared:
        """Raises what the engine says of it, or what ends the generation before."""
        prepared = await self.tokenize(generation, request)
        if not isinstance(prepared, PreparedRequest):
            return prepared
        if prepared.constraint is None or prepared.grammar is not None:
            return prepared
        return await _run(generation, self._compiling, self._thread.compile, prepared)

    async def tokenize(self, generation: Generation, request: Asked) -> Prepared:
        """As `prepare`, but for the grammar, which it may lack."""
        await self._room.enter(generation, request)
        if (prompt := linking_prompt(request)) is not None:
            assert isinstance(request, GenerationRequest)
            fetching = asyncio.ensure_future(self._linked.fetched(request, prompt))
            request = await _result(generation, fetching)
        executor = self._watching if _has_video(request) else self._preparing
        prepared = await _run(generation, executor, self._thread.prepare, request)
        self._room.settle(generation, prepared)
        return prepared

    def forget(self, generation: Generation) -> None:
        """It is over."""
        self._room.leave(generation)

    def close(self) -> None:
        self._preparing.shutdown(wait=False, cancel_futures=True)
        self._watching.shutdown(wait=False, cancel_futures=True)
        self._compiling.shutdown(wait=False, cancel_futures=True)


def _has_video(request: Asked) -> bool:
    return any(medium.kind == "video" for medium in media_of(request))


async def _run(
    generation: Generation,
    executor: ThreadPoolExecutor,
    function: Callable[[Given], Prepared],
    given: Given,
) -> Prepared:
    running = asyncio.get_running_loop().run_in_executor(executor, function, given)
    return await _result(generation, running)


async def _result(generation: Generation, running: "asyncio.Future[Result]") -> Result:
    """Raises what it raises, or what ends the generation before."""
    try:
        await generation.until(running)
    finally:
        running.cancel()
    return running.result()
