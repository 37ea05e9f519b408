"""A prompt with pictures, videos or sounds, as its model's processor makes it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlxhub.core.medium import MediumKind


@dataclass(frozen=True, slots=True)
class Place:
    """Of a medium, or a piece of one, among the tokens of its prompt."""

    kind: MediumKind
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Seen:
    """`inputs`: what the model takes, arrays of MLX. `keys`: its tokens, with those of each medium replaced
    by numbers that are that medium's alone. `places`: in the order of the tokens.
    """

    inputs: Mapping[str, Any]
    keys: tuple[int, ...]
    places: tuple[Place, ...]

    @property
    def held_bytes(self) -> int:
        return sum(getattr(value, "nbytes", 0) for value in self.inputs.values())

    @property
    def media_end(self) -> int:
        """After so many tokens there are no more."""
        return self.places[-1].end
