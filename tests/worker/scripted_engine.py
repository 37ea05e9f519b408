"""An Engine that says what a test wrote down, and a worker's application around it."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import httpx

from mlxhub.core.config import WorkerSettings
from mlxhub.protocol.parts import SampledLogprob, TokenLogprob
from mlxhub.worker.app import build_app
from mlxhub.worker.engines.engine import (
    Delta,
    Finished,
    FinishReason,
    GenerationRequest,
    JsonObject,
    LoadedModel,
    Markers,
    ParsedCall,
    Piece,
    PreparedRequest,
)
from mlxhub.worker.model_service import ModelService
from tests.worker.fake_engine import FakeEngine

MARKERS = Markers("<think>", "</think>", "<tool_call>", "</tool_call>")
Story = Callable[[httpx.AsyncClient, "ScriptedEngine"], Coroutine[Any, Any, None]]


class ScriptedEngine(FakeEngine):
    """Says `pieces`, one per step, each as likely as the next, and keeps what it was asked."""

    def __init__(self, pieces: Sequence[str], reason: FinishReason, stop: str | None) -> None:
        super().__init__()
        self.asked: list[GenerationRequest] = []
        self._pieces = pieces
        self._reason = reason
        self._stop = stop

    def load(self, reserved_bytes: int = 0) -> LoadedModel:
        return LoadedModel(super().load(reserved_bytes).context_length, 8, MARKERS, _parse)

    def prepare(self, request: GenerationRequest) -> PreparedRequest:
        self.asked.append(request)
        return PreparedRequest((1, 2, 3), len(self._pieces), request.sampling)

    def compile(self, request: PreparedRequest) -> PreparedRequest:
        return request

    def _speak(self, handle: int) -> Delta:
        piece = self._pieces[len(self._pieces) - self._rows[handle]]
        token = TokenLogprob(piece.encode(), -0.5)
        top = self.asked[-1].top_logprobs
        logprobs = () if top is None else (SampledLogprob(token, (token,) * top),)
        self._rows[handle] -= 1
        if self._rows[handle] > 0:
            return Piece(handle, piece, logprobs)
        del self._rows[handle]
        return Finished(handle, piece, self._reason, len(self._pieces), logprobs, self._stop)


def play(
    pieces: Sequence[str],
    story: Story,
    *,
    reason: FinishReason = FinishReason.STOP,
    stop: str | None = None,
) -> None:
    """`story` gets a client of a worker whose model says `pieces`."""

    async def run() -> None:
        engine = ScriptedEngine(pieces, reason, stop)
        settings = WorkerSettings.model_validate({"name": "m", "model_path": "x", "port": 1})
        service = ModelService(settings, engine, lambda: None)
        transport = httpx.ASGITransport(build_app(service, "g"))
        async with (
            asyncio.timeout(20),
            service.running(),
            httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:1") as client,
        ):
            await story(client, engine)

    asyncio.run(run())


def _parse(text: str, _tools: Sequence[JsonObject]) -> tuple[ParsedCall, ...]:
    call = json.loads(text)
    return (ParsedCall(call["name"], json.dumps(call["arguments"])),)
