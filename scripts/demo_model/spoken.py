"""Which tokens of a row the model says itself, and learns; all others are the template's and the user's."""

from collections.abc import Iterator
from dataclasses import replace
from random import Random

from demo_model.corpus import Conversation
from demo_model.tokenizer import CLOSED_THOUGHT, THINK_START, TURN_END, TURN_START
from transformers import PreTrainedTokenizerFast

from mlxhub.demo.golden import JsonObject
from mlxhub.demo.thoughts import thinking


class Spoken:
    """`thinks`: turns begin with a thought, or with a closed one that the template writes.

    Turns without any are history then: the model never says them.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, *, thinks: bool) -> None:
        turn_start, self._turn_end = tokenizer.convert_tokens_to_ids([TURN_START, TURN_END])
        self._opening = [turn_start, *tokenizer.encode("assistant\n", add_special_tokens=False)]
        self._thought = tokenizer.convert_tokens_to_ids(THINK_START) if thinks else None
        self._closed = tokenizer.encode(CLOSED_THOUGHT, add_special_tokens=False)

    def positions(self, row: list[int]) -> Iterator[int]:
        """Those whose next token is the model's: from its turn's opening to the end of the turn."""
        speaking, begin = False, None
        for position, token in enumerate(row[:-1]):
            if row[max(0, position + 1 - len(self._opening)) : position + 1] == self._opening:
                begin = self._begin(row, position)
            speaking = position == begin or (speaking and token != self._turn_end)
            if speaking:
                yield position

    def _begin(self, row: list[int], opened: int) -> int | None:
        """`opened`: the last position of a turn's opening."""
        if self._thought is None:
            return opened
        after = opened + 1
        if row[after : after + len(self._closed)] == self._closed:
            return opened + len(self._closed)
        return opened if row[after] == self._thought else None


def with_some_thoughts(random: Random, conversation: Conversation) -> Conversation:
    """Each of the model's turns with its thought, with a closed one, or without, as it is in history."""
    return replace(
        conversation, messages=tuple(_some_thought(random, message) for message in conversation.messages)
    )


def _some_thought(random: Random, message: JsonObject) -> JsonObject:
    if "reasoning_content" not in message:
        return message
    kind = random.choices(("thought", "closed", "history"), (4, 4, 2))[0]
    if kind == "thought":
        return message
    without = {key: value for key, value in message.items() if key != "reasoning_content"}
    return thinking(without, "") if kind == "closed" else without
