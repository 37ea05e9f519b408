"""POST /v1/completions."""

import time
import uuid
from collections.abc import AsyncGenerator, Sequence

from starlette.requests import Request
from starlette.responses import Response

from mlxhub.protocol import sse
from mlxhub.protocol.openai.answers import ChunkWriter, Header, encode, text_choice, whole_answer
from mlxhub.protocol.openai.completions import CompletionRequest
from mlxhub.protocol.openai.logprobs import text_logprobs
from mlxhub.protocol.parameters import ignored_header
from mlxhub.protocol.parts import Finish, SampledLogprob, Usage
from mlxhub.web.streams import EventStream, run_unless_disconnected
from mlxhub.worker.engines.engine import (
    Finished,
    FinishReason,
    GenerationRequest,
    Piece,
    TextPrompt,
    TokenPrompt,
)
from mlxhub.worker.generation import Generation
from mlxhub.worker.model_service import ModelService
from mlxhub.worker.routes.bodies import read_model
from mlxhub.worker.routes.requests import generation_request

KIND = "text_completion"


class CompletionRoute:
    def __init__(self, service: ModelService) -> None:
        self._service = service

    async def post(self, request: Request) -> Response:
        asked = await read_model(request, CompletionRequest)
        self._service.check_model(asked.model)
        asked.check_supported()
        wanted = [
            generation_request(
                asked,
                TextPrompt(prompt) if isinstance(prompt, str) else TokenPrompt(tuple(prompt)),
                asked.max_tokens,
                self._service.settings,
            )
            for prompt in asked.prompts
        ]
        header = Header(f"cmpl-{uuid.uuid4().hex}", int(time.time()), self._service.settings.name)
        ignored = ignored_header(asked)
        if asked.stream:
            return EventStream(self._events(asked, wanted, header), ignored)
        body = await run_unless_disconnected(request.receive, self._whole(asked, wanted, header))
        return Response(body, headers=ignored, media_type="application/json")

    async def _events(
        self, asked: CompletionRequest, wanted: Sequence[GenerationRequest], header: Header
    ) -> AsyncGenerator[bytes, None]:
        writer = ChunkWriter(header, KIND, include_usage=asked.include_usage)
        async with self._service.generate(wanted, asked.answers) as generation:
            rows = [_StreamedRow(row, writer) for row in range(len(generation.handles))]
            if begun := b"".join(writer.text(row, echo) for row, echo in enumerate(_echoes(asked)) if echo):
                yield begun
            while generation.has_more:
                chunks: list[bytes] = []
                for delta in await generation.take():
                    match delta:
                        case Piece(handle, text, logprobs) if text or logprobs:
                            chunks.append(rows[generation.row(handle)].chunk(text, logprobs))
                        case Finished(handle=handle, text=text, reason=reason, logprobs=logprobs):
                            row = rows[generation.row(handle)]
                            chunks.append(row.chunk(text, logprobs, reason.value))
                if chunks:
                    yield b"".join(chunks)
            if asked.include_usage:
                yield writer.usage(_usage(generation, asked))
            yield sse.DONE

    async def _whole(
        self, asked: CompletionRequest, wanted: Sequence[GenerationRequest], header: Header
    ) -> bytes:
        async with self._service.generate(wanted, asked.answers) as generation:
            texts = [[echo] for echo in _echoes(asked)]
            told: list[list[SampledLogprob]] = [[] for _ in generation.handles]
            reasons = [FinishReason.STOP for _ in generation.handles]
            while generation.has_more:
                for delta in await generation.take():
                    match delta:
                        case Piece(handle, text, logprobs):
                            texts[generation.row(handle)].append(text)
                            told[generation.row(handle)] += logprobs
                        case Finished(handle=handle, text=text, reason=reason, logprobs=logprobs):
                            texts[generation.row(handle)].append(text)
                            told[generation.row(handle)] += logprobs
                            reasons[generation.row(handle)] = reason
        choices = [
            text_choice(row, "".join(text), logprobs, reason.value)
            for row, (text, logprobs, reason) in enumerate(zip(texts, told, reasons, strict=True))
        ]
        return whole_answer(header, KIND, choices, _usage(generation, asked))


class _StreamedRow:
    """`text_offset` of a token counts from where the row's text began."""

    def __init__(self, row: int, writer: ChunkWriter) -> None:
        self._row = row
        self._writer = writer
        self._told_length = 0

    def chunk(self, text: str, logprobs: Sequence[SampledLogprob], finish: Finish | None = None) -> bytes:
        if not logprobs:
            return self._writer.text(self._row, text, finish=finish)
        told = text_logprobs(logprobs, self._told_length)
        self._told_length += sum(map(len, told["tokens"]))
        return self._writer.text(self._row, text, encode(told), finish)


def _echoes(asked: CompletionRequest) -> list[str]:
    """By rows."""
    return [echo for echo in asked.echoes for _ in range(asked.answers)]


def _usage(generation: Generation, asked: CompletionRequest) -> Usage:
    """Several answers to one prompt share it."""
    prompts = generation.prompts[:: asked.answers]
    prompt_tokens = sum(len(prompt.tokens) for prompt in prompts)
    return Usage(prompt_tokens, generation.completion_tokens, generation.cached_tokens)
