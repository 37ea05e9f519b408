"""What a request is made of, before an engine has looked at it."""

from collections.abc import Iterator, Mapping
from itertools import chain

from mlxhub.core.medium import Medium
from mlxhub.worker.engines.engine import (
    Asked,
    ChatPrompt,
    GenerationRequest,
    Json,
    Prompt,
    TextPrompt,
    TokenPrompt,
)


def size_of(request: Asked) -> int:
    """Characters and bytes of all that a client sent with it."""
    return sum(map(len, content_of(request)))


def content_of(request: Asked) -> Iterator[str | bytes]:
    """In no order that means anything, and always in the same. Tokens are none."""
    if not isinstance(request, GenerationRequest):
        return request.content()
    return chain(texts_of(request.prompt), (medium.content for medium in media_of(request)))


def media_of(request: Asked) -> tuple[Medium, ...]:
    if not isinstance(request, GenerationRequest) or not isinstance(request.prompt, ChatPrompt):
        return ()
    return request.prompt.media


def terms_of(request: Asked) -> object:
    """All else that is asked, which is small."""
    if not isinstance(request, GenerationRequest):
        return request.terms()
    tokens = request.prompt.tokens if isinstance(request.prompt, TokenPrompt) else ()
    return tokens, request.sampling, request.max_tokens, request.stops, request.constraint


def characters_of(prompt: Prompt) -> int:
    """Of all texts in it; so many at least are tokenized."""
    return sum(map(len, texts_of(prompt)))


def texts_of(prompt: Prompt) -> Iterator[str]:
    """As `content_of`."""
    match prompt:
        case ChatPrompt(messages=messages, tools=tools):
            yield from _texts(*messages, *tools)
        case TextPrompt(text):
            yield text
        case TokenPrompt():
            pass


def _texts(*values: Json) -> Iterator[str]:
    """Names too: a chat template may write out any."""
    waiting = [*values]
    while waiting:
        match waiting.pop():
            case str(text):
                yield text
            case Mapping() as fields:
                waiting += [*fields, *fields.values()]
            case list() | tuple() as parts:
                waiting += parts
