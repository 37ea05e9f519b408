"""The texts of which a prompt is made, before it is tokenized."""

from collections.abc import Iterator, Mapping

from mlxhub.worker.engines.engine import ChatPrompt, Json, Prompt, TextPrompt, TokenPrompt


def characters_of(prompt: Prompt) -> int:
    """Of all texts in it; so many at least are tokenized."""
    return sum(map(len, texts_of(prompt)))


def texts_of(prompt: Prompt) -> Iterator[str]:
    """All of them, in no order that means anything, and always in the same. Tokens have none."""
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
