"""A prompt with pictures, as its model's processor makes it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Seen:
    """`inputs`: what the model takes, arrays of MLX. `keys`: its tokens, with those of each picture replaced
    by numbers that are that picture's alone. `ends`: after so many tokens each picture is over.
    """

    inputs: Mapping[str, Any]
    keys: tuple[int, ...]
    ends: tuple[int, ...]

    @property
    def held_bytes(self) -> int:
        return sum(getattr(value, "nbytes", 0) for value in self.inputs.values())

    @property
    def pictures_end(self) -> int:
        """After so many tokens there are no more."""
        return self.ends[-1]
