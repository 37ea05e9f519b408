"""One answer as it grows: tokens to text, up to a stop, with what is told of each token."""

from collections import deque
from typing import Protocol

from loguru import logger

from mlxhub.protocol.parts import SampledLogprob
from mlxhub.refusals import GenerationFailed
from mlxhub.worker.engines.engine import (
    Delta,
    Failed,
    Finished,
    FinishReason,
    Piece,
    PreparedRequest,
)
from mlxhub.worker.output.stops import StopMatcher

_BROKEN_CHARACTER = "\ufffd"


class Detokenizer(Protocol):
    """One answer's tokens to text. `last_segment` never ends within a character."""

    def add_token(self, token: int) -> None: ...

    def finalize(self) -> None: ...

    @property
    def last_segment(self) -> str: ...


class TextRow:
    """`unread_tokens` of its prompt were not known already. `decoding`: all of it has been read."""

    def __init__(
        self, handle: int, request: PreparedRequest, detokenizer: Detokenizer, unread_tokens: int
    ) -> None:
        self.handle = handle
        self.unread_tokens = unread_tokens
        self.has_boundaries = bool(request.boundaries)
        self.decoding = False
        self._detokenizer = detokenizer
        self._stops = StopMatcher(request.stops)
        self._tokens = 0
        self._text_length = 0
        self._told_length = 0
        # Each with the length of the text it is the end of.
        self._untold: deque[tuple[int, SampledLogprob]] = deque()

    def advance(self, token: int, reason: FinishReason | None, logprob: SampledLogprob | None) -> Delta:
        """What one more token means. The token of a stop is no part of the text."""
        self._tokens += 1
        try:
            text = self._text_of(token, reason)
        except (LookupError, ValueError, UnicodeError):
            logger.exception("A row's tokens could not be decoded")
            return Failed(self.handle, GenerationFailed("the tokenizer could not decode the answer."))
        self._text_length += len(text)
        if logprob is not None and reason is not FinishReason.STOP:
            self._untold.append((self._text_length, logprob))
        matched = self._stops.feed(text)
        if matched.stop is not None:
            return self._finished(matched.text, FinishReason.STOP, matched.stop)
        if reason is not None:
            return self._finished(matched.text + self._stops.finish(), reason)
        return Piece(self.handle, matched.text, self._logprobs(matched.text))

    def _text_of(self, token: int, reason: FinishReason | None) -> str:
        if reason is not FinishReason.STOP:
            self._detokenizer.add_token(token)
        if reason is None:
            return self._detokenizer.last_segment
        self._detokenizer.finalize()
        return self._detokenizer.last_segment.rstrip(_BROKEN_CHARACTER)

    def _finished(self, text: str, reason: FinishReason, stop: str | None = None) -> Finished:
        return Finished(self.handle, text, reason, self._tokens, self._logprobs(text), stop)

    def _logprobs(self, text: str) -> tuple[SampledLogprob, ...]:
        """Of the tokens that are told as a whole when this text is."""
        self._told_length += len(text)
        told = []
        while self._untold and self._untold[0][0] <= self._told_length:
            told.append(self._untold.popleft()[1])
        return tuple(told)
