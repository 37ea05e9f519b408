"""A chat answer, whatever API asks for it: from what the engine says to parts, streamed or whole."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from types import MappingProxyType

from mlxhub.core.config import WorkerSettings
from mlxhub.core.model_type import ModelType
from mlxhub.protocol.openai.chat import ChatRequest
from mlxhub.protocol.parts import Answered, AnswerWriter, Ending, FunctionCall, Part, Usage
from mlxhub.worker.engines.engine import ChatPrompt, Finished, GenerationRequest, Piece
from mlxhub.worker.generation import Generation
from mlxhub.worker.linked_media import check_media
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
    takes_media = settings.model_type is ModelType.MULTIMODAL
    prompt = ChatPrompt(
        chat.template_messages(takes_media=takes_media),
        chat.template_tools(),
        {} if chat.thinking is None else {"enable_thinking": chat.thinking},
        check_media(chat.media, settings) if takes_media else (),
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
        readers = _readers(generation, wanted)
        if begun := writer.begin(_usage(generation, readers)):
            yield begun
        while generation.has_more:
            chunks: list[bytes] = []
            for delta in await generation.take():
                match delta:
                    case Piece(handle, text, logprobs):
                        row = generation.row(handle)
                        chunks += [writer.part(row, part) for part in readers[row].read(text, logprobs)]
                    case Finished():
                        row = generation.row(delta.handle)
                        ending = _finished(readers[row], delta)
                        chunks += [writer.part(row, part) for part in ending.parts]
                        chunks.append(writer.end(row, ending))
            if said := b"".join(chunks):
                yield said
        yield writer.finish(_usage(generation, readers))


async def whole_answer(service: ModelService, wanted: ChatWanted) -> Answered:
    async with _generation(service, wanted) as generation:
        readers = _readers(generation, wanted)
        parts: list[list[Part]] = [[] for _ in readers]
        rows: dict[int, Ending] = {}
        while generation.has_more:
            for delta in await generation.take():
                match delta:
                    case Piece(handle, text, logprobs):
                        row = generation.row(handle)
                        parts[row] += readers[row].read(text, logprobs)
                    case Finished():
                        row = generation.row(delta.handle)
                        ending = _finished(readers[row], delta)
                        rows[row] = replace(ending, parts=tuple(_joined([*parts[row], *ending.parts])))
        return Answered([rows[row] for row in range(len(readers))], _usage(generation, readers))


def _finished(reader: RowReader, delta: Finished) -> Ending:
    return reader.finish(delta.text, delta.reason, delta.stop, delta.logprobs)


def _joined(parts: Sequence[Part]) -> Iterator[Part]:
    """Neighbours of one kind as one, but for calls, and what has no text and is at the end of its kind."""
    for _, run in groupby(parts, key=type):
        said = [*run]
        without_text: list[Part] = []
        while said and not isinstance(said[-1], FunctionCall) and not said[-1].text:
            without_text.append(said.pop())
        yield from _as_one(said)
        yield from _as_one(without_text[::-1])


def _as_one(run: Sequence[Part]) -> Iterator[Part]:
    texts = [part for part in run if not isinstance(part, FunctionCall)]
    if not texts:
        yield from run
        return
    logprobs = tuple(each for part in texts for each in part.logprobs)
    yield replace(texts[0], text="".join(part.text for part in texts), logprobs=logprobs)


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
        for row in generation.prompts
    ]


def _usage(generation: Generation, readers: Sequence[RowReader]) -> Usage:
    """The answers of one chat share their prompt."""
    return Usage(
        len(generation.prompts[0].tokens),
        generation.completion_tokens,
        generation.cached_tokens,
        sum(reader.reasoning_tokens for reader in readers),
    )
