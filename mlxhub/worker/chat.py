"""A chat answer, whatever API asks for it: from what the engine says to parts, streamed or whole."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from types import MappingProxyType

from mlxhub.core.config import WorkerSettings
from mlxhub.protocol.openai.chat import ChatRequest
from mlxhub.protocol.parts import Answered, AnswerWriter, Content, Ending, Part, SampledLogprob, Usage
from mlxhub.worker.engines.engine import ChatPrompt, Finished, GenerationRequest, Piece
from mlxhub.worker.generation import Generation
from mlxhub.worker.model_service import ModelService
from mlxhub.worker.output.answer import RowReader
from mlxhub.worker.routes.renamed import renamed
from mlxhub.worker.routes.requests import generation_request


@dataclass(frozen=True, slots=True)
class ChatWanted:
    """`one_call`: of each answer the client takes one call at most. `names` as of `renamed`."""

    request: GenerationRequest
    prompt: ChatPrompt
    answers: int
    one_call: bool
    names: Mapping[str, str]


def chat_wanted(
    chat: ChatRequest, settings: WorkerSettings, names: Mapping[str, str] = MappingProxyType({})
) -> ChatWanted:
    """Other APIs' requests come as what OpenAI's would be, with their `names`. Raises InvalidRequest."""
    prompt = ChatPrompt(
        chat.template_messages(),
        chat.template_tools(),
        {} if chat.thinking is None else {"enable_thinking": chat.thinking},
    )
    return ChatWanted(
        generation_request(chat, prompt, chat.answer_limit, settings),
        prompt,
        chat.answers,
        one_call=chat.parallel_tool_calls is False,
        names=names,
    )


async def stream_answer(
    service: ModelService, wanted: ChatWanted, writer: AnswerWriter
) -> AsyncGenerator[bytes, None]:
    async with _generation(service, wanted) as generation:
        if begun := writer.begin(_usage(generation)):
            yield begun
        readers = _readers(generation, wanted)
        while generation.has_more:
            chunks: list[bytes] = []
            for delta in await generation.take():
                match delta:
                    case Piece(handle, text, logprobs) if text or logprobs:
                        row = generation.row(handle)
                        chunks += _written(writer, row, readers[row].read(text), logprobs)
                    case Finished():
                        row = generation.row(delta.handle)
                        ending = readers[row].finish(delta.text, delta.reason, delta.stop)
                        chunks += _written(writer, row, ending.parts, delta.logprobs)
                        chunks.append(writer.end(row, ending))
            if chunks:
                yield b"".join(chunks)
        yield writer.finish(_usage(generation))


async def whole_answer(service: ModelService, wanted: ChatWanted) -> Answered:
    """Pieces are joined before they are read: one pass of the parser instead of one per token."""
    async with _generation(service, wanted) as generation:
        readers = _readers(generation, wanted)
        pieces: list[list[str]] = [[] for _ in readers]
        told: list[list[SampledLogprob]] = [[] for _ in readers]
        rows: dict[int, Ending] = {}
        while generation.has_more:
            for delta in await generation.take():
                match delta:
                    case Piece(handle, text, logprobs):
                        pieces[generation.row(handle)].append(text)
                        told[generation.row(handle)] += logprobs
                    case Finished(text=text):
                        row = generation.row(delta.handle)
                        said = "".join((*pieces[row], text))
                        ending = readers[row].finish(said, delta.reason, delta.stop)
                        rows[row] = replace(ending, logprobs=(*told[row], *delta.logprobs))
        return Answered([rows[row] for row in range(len(readers))], _usage(generation))


def _written(
    writer: AnswerWriter, row: int, parts: Sequence[Part], logprobs: Sequence[SampledLogprob]
) -> list[bytes]:
    if not logprobs:
        return [writer.part(row, part) for part in parts]
    *earlier, last = parts or [Content("")]
    return [*(writer.part(row, part) for part in earlier), writer.part(row, last, logprobs)]


@asynccontextmanager
async def _generation(service: ModelService, wanted: ChatWanted) -> AsyncIterator[Generation]:
    with renamed(wanted.names):
        async with service.generate([wanted.request], wanted.answers) as generation:
            yield generation


def _readers(generation: Generation, wanted: ChatWanted) -> list[RowReader]:
    assert generation.model is not None
    return [
        RowReader(
            generation.model,
            wanted.prompt.tools,
            in_reasoning=row.in_reasoning,
            constraint=row.constraint,
            one_call=wanted.one_call,
        )
        for row in generation.prepared
    ]


def _usage(generation: Generation) -> Usage:
    """The answers of one chat share their prompt."""
    return Usage(len(generation.prepared[0].tokens), generation.completion_tokens, generation.cached_tokens)
