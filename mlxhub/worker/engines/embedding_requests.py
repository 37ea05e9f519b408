"""What is asked of a model that turns texts into vectors or scores, and what it says."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """`inputs`: texts, or tokens as they are. `dimensions`: how many of a vector's first numbers; None: all.

    `truncate`: what is too long is cut, instead of refused.
    """

    inputs: tuple[str | tuple[int, ...], ...]
    dimensions: int | None = None
    truncate: bool = False

    def content(self) -> Iterator[str]:
        yield from (text for text in self.inputs if isinstance(text, str))

    def terms(self) -> object:
        tokens = [text for text in self.inputs if not isinstance(text, str)]
        return "embed", tokens, self.dimensions, self.truncate


@dataclass(frozen=True, slots=True)
class RankingRequest:
    """How well each document answers the query. What is too long of a document is cut."""

    query: str
    documents: tuple[str, ...]

    def content(self) -> Iterator[str]:
        yield self.query
        yield from self.documents

    def terms(self) -> object:
        return "rank"


@dataclass(frozen=True, slots=True)
class EncodedText:
    """`types`: of each token, which of two texts it belongs to; None: the model does not ask."""

    tokens: tuple[int, ...]
    types: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class PreparedTexts:
    """`truncated`: which of them were cut. `compared`: the first is a query, and the others are ranked by
    how near their vectors are to its.
    """

    texts: tuple[EncodedText, ...]
    dimensions: int | None = None
    truncated: tuple[int, ...] = ()
    compared: bool = False

    @property
    def prompt_tokens(self) -> int:
        return sum(len(text.tokens) for text in self.texts)


@dataclass(frozen=True, slots=True)
class Embedded:
    """The vector of the text `index`: float32, little-endian, of length 1."""

    handle: int
    index: int
    vector: bytes


@dataclass(frozen=True, slots=True)
class Scored:
    """How well the document `index` answers, from 0 to 1 by a ranking model."""

    handle: int
    index: int
    score: float
