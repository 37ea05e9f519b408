"""From requests to tokens and grammars, beside the event loop and the engine."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from mlxhub.worker.engine_thread import EngineThread
from mlxhub.worker.engines.engine import Asked, GenerationRequest, Prepared, PreparedRequest
from mlxhub.worker.generation import Generation
from mlxhub.worker.linked_pictures import LinkedPictures, linking_prompt
from mlxhub.worker.picture_room import PictureRoom

Given = TypeVar("Given")
Result = TypeVar("Result")


class Preparation:
    """Grammars have a thread of their own: one that takes seconds holds up no request without any."""

    def __init__(self, thread: EngineThread) -> None:
        self._thread = thread
        self._linked = LinkedPictures()
        self._room = PictureRoom()
        self._preparing = ThreadPoolExecutor(1, "prepare")
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
        prepared = await _run(generation, self._preparing, self._thread.prepare, request)
        self._room.settle(generation, prepared)
        return prepared

    def forget(self, generation: Generation) -> None:
        """It is over."""
        self._room.leave(generation)

    def close(self) -> None:
        self._preparing.shutdown(wait=False, cancel_futures=True)
        self._compiling.shutdown(wait=False, cancel_futures=True)


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
