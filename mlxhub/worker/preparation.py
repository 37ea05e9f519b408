"""From requests to tokens and grammars, beside the event loop and the engine."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from mlxhub.worker.engine_thread import EngineThread
from mlxhub.worker.engines.engine import GenerationRequest, PreparedRequest


class Preparation:
    """Grammars have a thread of their own: one that takes seconds holds up no request without any."""

    def __init__(self, thread: EngineThread) -> None:
        self._thread = thread
        self._preparing = ThreadPoolExecutor(1, "prepare")
        self._compiling = ThreadPoolExecutor(1, "compile")

    async def prepare(self, request: GenerationRequest) -> PreparedRequest:
        """Raises InvalidRequest, ContextOverflow and NotLoaded."""
        loop = asyncio.get_running_loop()
        prepared = await loop.run_in_executor(self._preparing, self._thread.prepare, request)
        if prepared.constraint is None or prepared.grammar is not None:
            return prepared
        return await loop.run_in_executor(self._compiling, self._thread.compile, prepared)

    def close(self) -> None:
        self._preparing.shutdown(wait=False, cancel_futures=True)
        self._compiling.shutdown(wait=False, cancel_futures=True)
