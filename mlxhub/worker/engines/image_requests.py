"""What is asked of a model that draws, and what it says."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DrawingRequest:
    """`count` pictures, the first from `seed`, each other from the seed above.

    `source`: a file with a picture that is to be changed. What is None, the model decides.
    """

    prompt: str
    seed: int
    count: int = 1
    width: int | None = None
    height: int | None = None
    steps: int | None = None
    guidance: float | None = None
    negative_prompt: str | None = None
    strength: float | None = None
    source: bytes | None = None

    def content(self) -> Iterator[str | bytes]:
        yield self.prompt
        yield self.negative_prompt or ""
        yield self.source or b""

    def terms(self) -> object:
        size = self.width, self.height
        return "draw", self.seed, self.count, size, self.steps, self.guidance, self.strength


@dataclass(frozen=True, slots=True)
class PreparedDrawing:
    """`source`: a PNG."""

    request: DrawingRequest
    source: bytes | None = None

    @property
    def prompt_tokens(self) -> int:
        """Of which the model does not tell."""
        return 0


@dataclass(frozen=True, slots=True)
class Drawing:
    """So many steps of the picture `index` are done."""

    handle: int
    index: int
    step: int
    steps: int


@dataclass(frozen=True, slots=True)
class Drawn:
    """The picture `index`, as PNG."""

    handle: int
    index: int
    png: bytes
    width: int
    height: int
    seed: int
