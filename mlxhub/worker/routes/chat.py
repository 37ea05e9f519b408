"""POST /v1/chat/completions."""

import time
import uuid
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from mlxhub.protocol import sse
from mlxhub.protocol.openai.answers import (
    ChunkWriter,
    Finish,
    FunctionCall,
    Header,
    Usage,
    chat_choice,
    whole_answer,
)
from mlxhub.protocol.openai.chat import ChatRequest
from mlxhub.web.streams import EventStream, run_unless_disconnected
from mlxhub.worker.engines.engine import ChatPrompt, Finished, GenerationRequest, Piece
from mlxhub.worker.generation import Generation
from mlxhub.worker.model_service import ModelService
from mlxhub.worker.output.answer import Part, RowReader
from mlxhub.worker.output.parser import Content, Reasoning
from mlxhub.worker.routes.bodies import read_model
from mlxhub.worker.routes.requests import generation_request


class ChatRoute:
    def __init__(self, service: ModelService) -> None:
        self._service = service

    async def post(self, request: Request) -> Response:
        chat = await read_model(request, ChatRequest)
        self._service.check_model(chat.model)
        chat.check_supported()
        options = chat.chat_template_kwargs
        thinking = None if options is None else options.enable_thinking
        prompt = ChatPrompt(
            chat.template_messages(),
            chat.template_tools(),
            {} if thinking is None else {"enable_thinking": thinking},
        )
        wanted = generation_request(chat, prompt, chat.answer_limit, self._service.settings)
        header = Header(f"chatcmpl-{uuid.uuid4().hex}", int(time.time()), self._service.settings.name)
        if chat.stream:
            return EventStream(self._events(chat, wanted, prompt, header))
        body = await run_unless_disconnected(request.receive, self._whole(chat, wanted, prompt, header))
        return Response(body, media_type="application/json")

    async def _events(
        self, chat: ChatRequest, wanted: GenerationRequest, prompt: ChatPrompt, header: Header
    ) -> AsyncGenerator[bytes, None]:
        writer = ChunkWriter(header, "chat.completion.chunk", include_usage=chat.include_usage)
        async with self._service.generate([wanted], chat.answers) as generation:
            for row in range(chat.answers):
                yield writer.delta(row, {"role": "assistant", "content": "", "refusal": None})
            rows = [
                _StreamedRow(row, writer, reader) for row, reader in enumerate(_readers(generation, prompt))
            ]
            while generation.has_more:
                chunks: list[bytes] = []
                for delta in await generation.take():
                    match delta:
                        case Piece(handle, text) if text:
                            chunks += rows[generation.row(handle)].read(text)
                        case Finished():
                            chunks += rows[generation.row(delta.handle)].finish(delta)
                if chunks:
                    yield b"".join(chunks)
            if chat.include_usage:
                yield writer.usage(_usage(generation))
            yield sse.DONE

    async def _whole(
        self, chat: ChatRequest, wanted: GenerationRequest, prompt: ChatPrompt, header: Header
    ) -> bytes:
        async with self._service.generate([wanted], chat.answers) as generation:
            rows = [_CollectedRow(reader) for reader in _readers(generation, prompt)]
            while generation.has_more:
                for delta in await generation.take():
                    match delta:
                        case Piece(handle, text):
                            rows[generation.row(handle)].add(text)
                        case Finished():
                            rows[generation.row(delta.handle)].finish(delta)
        choices = [row.choice(index) for index, row in enumerate(rows)]
        return whole_answer(header, "chat.completion", choices, _usage(generation))


def _readers(generation: Generation, prompt: ChatPrompt) -> list[RowReader]:
    assert generation.model is not None
    return [
        RowReader(generation.model, prompt.tools, in_reasoning=row.in_reasoning, constraint=row.constraint)
        for row in generation.prepared
    ]


def _usage(generation: Generation) -> Usage:
    """The answers of one chat share their prompt."""
    prompt_tokens = len(generation.prepared[0].tokens)
    return Usage(prompt_tokens, generation.completion_tokens, generation.cached_tokens)


class _StreamedRow:
    def __init__(self, row: int, writer: ChunkWriter, reader: RowReader) -> None:
        self._row = row
        self._writer = writer
        self._reader = reader
        self._calls = 0

    def read(self, text: str) -> list[bytes]:
        return [self._chunk(part) for part in self._reader.read(text)]

    def finish(self, finished: Finished) -> list[bytes]:
        ending = self._reader.finish(finished.text, finished.reason)
        chunks = [self._chunk(part) for part in ending.parts]
        return [*chunks, self._writer.delta(self._row, {}, ending.finish)]

    def _chunk(self, part: Part) -> bytes:
        match part:
            case Content(text):
                return self._writer.content(self._row, text)
            case Reasoning(text):
                return self._writer.delta(self._row, {"reasoning_content": text})
            case FunctionCall():
                index, self._calls = self._calls, self._calls + 1
                return self._writer.delta(self._row, {"tool_calls": [{"index": index, **part.as_json()}]})


@dataclass(slots=True)
class _CollectedRow:
    """Pieces are joined before they are read: one pass of the parser instead of one per token."""

    reader: RowReader
    pieces: list[str]
    parts: tuple[Part, ...]
    reason: Finish

    def __init__(self, reader: RowReader) -> None:
        self.reader = reader
        self.pieces = []
        self.parts = ()
        self.reason = "stop"

    def add(self, text: str) -> None:
        self.pieces.append(text)

    def finish(self, finished: Finished) -> None:
        ending = self.reader.finish("".join((*self.pieces, finished.text)), finished.reason)
        self.parts = ending.parts
        self.reason = ending.finish

    def choice(self, index: int) -> dict[str, Any]:
        content = "".join(part.text for part in self.parts if isinstance(part, Content))
        reasoning = "".join(part.text for part in self.parts if isinstance(part, Reasoning))
        calls = [part for part in self.parts if isinstance(part, FunctionCall)]
        return chat_choice(index, content, reasoning, calls, self.reason)
