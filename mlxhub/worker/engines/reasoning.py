"""How a model marks its thinking, and what the end of a prompt says of it."""

from dataclasses import dataclass
from typing import Any

from mlxhub.core.engine_options import ReasoningParser


@dataclass(frozen=True, slots=True)
class Reasoning:
    """`start` and `end` None: it does not think, or not so that it could be told apart.

    `begins_open`: answers begin with thinking, without a start that would say so.
    """

    start: str | None = None
    end: str | None = None
    begins_open: bool = False

    def is_open_after(self, tail: str) -> bool:
        """Whether an answer to a prompt with this end begins within thinking. Users may quote marks."""
        if self.start is None or self.end is None:
            return False
        return tail.rstrip().endswith(self.start) or (self.begins_open and not self.is_over_after(tail))

    def is_over_after(self, tail: str) -> bool:
        """Whether there is nothing to think: the template closed the span itself, or there is none."""
        return self.end is None or tail.rstrip().endswith(self.end)


def find_reasoning(tokenizer: Any, parser: ReasoningParser | None) -> Reasoning:
    """`parser` None: what mlx-lm makes of the vocabulary. `deepseek_r1`: `think` that begins open."""
    match parser:
        case None:
            return Reasoning(tokenizer.think_start, tokenizer.think_end)
        case "none":
            return Reasoning()
        case "think" | "deepseek_r1":
            return Reasoning("<think>", "</think>", begins_open=parser == "deepseek_r1")
