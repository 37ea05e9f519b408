"""How long a prompt is before it is tokenized."""

from collections.abc import Mapping

from mlxhub.worker.engines.engine import ChatPrompt, Json, Prompt, TextPrompt, TokenPrompt


def characters_of(prompt: Prompt) -> int:
    """Of all text in it, as far as it has any; so many at least are tokenized."""
    match prompt:
        case ChatPrompt(messages=messages, tools=tools):
            return _text_length(*messages, *tools)
        case TextPrompt(text):
            return len(text)
        case TokenPrompt():
            return 0


def _text_length(*values: Json) -> int:
    """Of all texts in them, names too: a chat template may write out any."""
    length = 0
    waiting = [*values]
    while waiting:
        match waiting.pop():
            case str(text):
                length += len(text)
            case Mapping() as fields:
                waiting += [*fields, *fields.values()]
            case list() | tuple() as parts:
                waiting += parts
    return length
