"""From requests to tokens and grammars, beside the event loop and the engine."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event
from typing import TypeVar

from mlxhub.worker.engine_thread import EngineThread
from mlxhub.worker.engines.content import media_of
from mlxhub.worker.engines.engine import Asked, GenerationRequest, Prepared, PreparedRequest
from mlxhub.worker.generation import Generation
from mlxhub.worker.linked_media import LinkedMedia, linking_prompt
from mlxhub.worker.media.wanted import while_wanted
from mlxhub.worker.media_room import MediaRoom

Given = TypeVar("Given")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class _Working:
    """What a thread does for a request, which may be `given_up`."""

    future: Future[Prepared]
    given_up: Event


class Preparation:
    """Grammars have a thread of their own: one that takes seconds holds up no request without any.

    So have videos, which may take half a minute, and pictures and sounds, which may wait for the processor
    that a video has.
    """

    def __init__(self, thread: EngineThread) -> None:
        self._thread = thread
        self._linked = LinkedMedia()
        self._room = MediaRoom()
        self._working: dict[Generation, _Working] = {}
        self._preparing = ThreadPoolExecutor(1, "prepare")
        self._seeing = ThreadPoolExecutor(1, "see")
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
        given_up = Event()
        executor = self._thread_for(request)
        future = executor.submit(while_wanted, lambda: not given_up.is_set(), self._thread.prepare, request)
        self._working[generation] = _Working(future, given_up)
        prepared: Prepared = await _result(generation, asyncio.wrap_future(future))
        self._room.settle(generation, prepared)
        return prepared

    def forget(self, generation: Generation) -> None:
        """It is over. A thread that works for it is told so, and takes its room until it ends."""
        working = self._working.pop(generation, None)
        if working is None or working.future.done() or working.future.cancel():
            self._room.leave(generation)
            return
        working.given_up.set()
        loop = asyncio.get_running_loop()
        working.future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._room.leave, generation))

    def close(self) -> None:
        self._preparing.shutdown(wait=False, cancel_futures=True)
        for executor in (self._seeing, self._watching, self._compiling):
            executor.shutdown(wait=False, cancel_futures=True)

    def _thread_for(self, request: Asked) -> ThreadPoolExecutor:
        kinds = {medium.kind for medium in media_of(request)}
        if "video" in kinds:
            return self._watching
        return self._seeing if kinds else self._preparing


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
