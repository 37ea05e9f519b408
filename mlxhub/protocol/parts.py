"""What a chat answer consists of, whatever API it leaves by."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

Finish: TypeAlias = Literal["stop", "length", "tool_calls"]


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """`text_bytes` need not be whole characters. `logprob` is natural, of all that could be sampled."""

    text_bytes: bytes
    logprob: float


@dataclass(frozen=True, slots=True)
class SampledLogprob:
    """`top`: the likeliest first, whether or not they were sampled."""

    sampled: TokenLogprob
    top: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Reasoning:
    """`logprobs` of any part, where the request asks for them: of the tokens since those told last.

    A part without text is there for the logprobs of tokens that say nothing, as marks do.
    """

    text: str
    logprobs: tuple[SampledLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Content:
    text: str
    logprobs: tuple[SampledLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """`arguments` is JSON text."""

    id: str
    name: str
    arguments: str
    logprobs: tuple[SampledLogprob, ...] = ()


Part: TypeAlias = Reasoning | Content | FunctionCall


@dataclass(frozen=True, slots=True)
class Ending:
    """The last parts of one answer, or all of them. `stop`: the stop text that ended it."""

    parts: tuple[Part, ...]
    finish: Finish
    stop: str | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """`cached_tokens` of the prompt's did not have to be read.

    `reasoning_tokens` of the answers' are thoughts. None: they are not told apart.
    """

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """All answers to one chat request, each with all of its parts."""

    rows: Sequence[Ending]
    usage: Usage


class AnswerWriter(Protocol):
    """Answers as one API streams them, as bytes: `part` is called once per token."""

    def begin(self, usage: Usage) -> bytes:
        """Nothing where a keepalive has begun it."""

    def part(self, row: int, part: Part) -> bytes:
        """Nothing where it has no text and the API does not tell its logprobs."""

    def end(self, row: int, ending: Ending) -> bytes:
        """After `part` was called for all of its parts."""

    def finish(self, usage: Usage) -> bytes:
        """Every row has ended."""
