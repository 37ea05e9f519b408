"""Media hold up nobody's text, and keep their room for as long as they are worked on."""

import asyncio
from collections.abc import Awaitable, Callable
from threading import Event

from mlxhub.core.medium import Medium, MediumKind
from mlxhub.refusals import RequestTimeout
from mlxhub.worker.engines.engine import (
    ChatPrompt,
    GenerationRequest,
    PreparedRequest,
    SamplingOptions,
)
from mlxhub.worker.generation import Generation
from mlxhub.worker.media.wanted import is_wanted
from mlxhub.worker.preparation import Preparation


class _Thread:
    """Requests with a kind of `held` are prepared once they are let go."""

    def __init__(self, *held: MediumKind) -> None:
        self._held = held
        self.begun = Event()
        self.let_go = Event()
        self.was_wanted: bool | None = None

    def prepare(self, request: GenerationRequest) -> PreparedRequest:
        assert isinstance(request.prompt, ChatPrompt)
        if any(medium.kind in self._held for medium in request.prompt.media):
            self.begun.set()
            assert self.let_go.wait(10)
            self.was_wanted = is_wanted()
        return PreparedRequest((1,), 1, SamplingOptions())


def asks(*kinds: MediumKind) -> GenerationRequest:
    prompt = ChatPrompt((), media=tuple(Medium(kind, "data:,") for kind in kinds))
    return GenerationRequest(prompt, max_tokens=1, sampling=SamplingOptions())


def run(test: Callable[[_Thread, Preparation], Awaitable[None]], *held: MediumKind) -> None:
    async def within() -> None:
        thread = _Thread(*held)
        preparation = Preparation(thread)  # type: ignore[arg-type]
        try:
            async with asyncio.timeout(10):
                await test(thread, preparation)
        finally:
            thread.let_go.set()
            preparation.close()

    asyncio.run(within())


def test_text_waits_for_no_medium_and_a_picture_for_no_video() -> None:
    async def test(thread: _Thread, preparation: Preparation) -> None:
        async with asyncio.TaskGroup() as tasks:
            for kind in ("video", "video"):
                tasks.create_task(preparation.prepare(Generation(range(1), 1), asks(kind)))
            await preparation.prepare(Generation(range(1), 1), asks())
            await preparation.prepare(Generation(range(1), 1), asks("image"))
            await preparation.prepare(Generation(range(1), 1), asks("audio"))
            thread.let_go.set()

    run(test, "video")


def test_room_is_kept_for_what_goes_on_after_its_request_is_over() -> None:
    async def test(thread: _Thread, preparation: Preparation) -> None:
        # Of these no other fits beside.
        over, other = Generation(range(1), 1), Generation(range(1), 1)
        abandoned = asyncio.ensure_future(preparation.prepare(over, asks(*["video"] * 4)))
        assert await asyncio.to_thread(thread.begun.wait, 10)
        over.fail(RequestTimeout(1))
        await asyncio.wait([abandoned])
        assert isinstance(abandoned.exception(), RequestTimeout)
        preparation.forget(over)
        waiting = asyncio.ensure_future(preparation.prepare(other, asks("image", "image")))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        thread.let_go.set()
        await waiting
        assert thread.was_wanted is False

    run(test, "video")
