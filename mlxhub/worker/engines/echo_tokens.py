"""An echo's tokens: words with the space before them, as numbers that need no vocabulary."""

import codecs
import re
from collections.abc import Sequence

from mlxhub.worker.engines.engine import ChatPrompt, JsonObject, Prompt, TextPrompt, TokenPrompt

# Tokens that stand between messages. Those of words are larger: their own bytes behind a one, as a number.
END, _FROM_USER, _FROM_ANOTHER = range(3)
_SPLIT_BYTES = 3


class EchoDetokenizer:
    """A Detokenizer."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._text = ""

    def add_token(self, token: int) -> None:
        self._text += self._decoder.decode(bytes_of(token))

    def finalize(self) -> None:
        self._text += self._decoder.decode(b"", final=True)

    @property
    def last_segment(self) -> str:
        text, self._text = self._text, ""
        return text


def tokens_of(prompt: Prompt) -> tuple[int, ...]:
    match prompt:
        case ChatPrompt(messages=messages):
            return tuple(token for message in messages for token in _tokens_of_message(message))
        case TextPrompt(text):
            return _tokens_of_text(text)
        case TokenPrompt(tokens):
            return tokens


def answer_to(tokens: Sequence[int]) -> Sequence[int]:
    """The last user's message; all of a prompt that is no chat."""
    if _FROM_USER not in tokens:
        return tokens
    begin = len(tokens) - tokens[::-1].index(_FROM_USER)
    others = (place for place in range(begin, len(tokens)) if tokens[place] == _FROM_ANOTHER)
    return tokens[begin : next(others, len(tokens))]


def split(tokens: Sequence[int]) -> list[int]:
    """The same text, by tokens that heed no character."""
    text = b"".join(map(bytes_of, tokens))
    return [_token_of(text[begin : begin + _SPLIT_BYTES]) for begin in range(0, len(text), _SPLIT_BYTES)]


def bytes_of(token: int) -> bytes:
    return token.to_bytes((token.bit_length() + 7) // 8, "big")[1:]


def _tokens_of_message(message: JsonObject) -> tuple[int, ...]:
    content = message.get("content")
    begin = _FROM_USER if message.get("role") == "user" else _FROM_ANOTHER
    return (begin, *_tokens_of_text(content if isinstance(content, str) else ""))


def _tokens_of_text(text: str) -> tuple[int, ...]:
    """A word each, with the space before it; nothing of the text is lost."""
    return tuple(_token_of(word.encode(errors="replace")) for word in re.findall(r"\s*\S+|\s+", text))


def _token_of(text: bytes) -> int:
    return int.from_bytes(b"\1" + text, "big")
