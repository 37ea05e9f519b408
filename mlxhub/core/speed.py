"""How fast a model answers, from when the pieces of its answers came."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Answer:
    """Seconds of one clock: when it was asked, and when its first and its last piece came."""

    asked_at: float
    first_at: float
    last_at: float
    prompt_tokens: int
    completion_tokens: int

    @property
    def first_seconds(self) -> float:
        return self.first_at - self.asked_at

    @property
    def tokens_per_second(self) -> float | None:
        """From the first token on. None: there was no second one, or no time between them."""
        seconds = self.last_at - self.first_at
        return (self.completion_tokens - 1) / seconds if self.completion_tokens > 1 and seconds > 0 else None


@dataclass(frozen=True, slots=True)
class Speed:
    """Medians: of all answers, and of the runs. `streams` were asked for at once.

    `stream_tokens_per_second`: of one answer, from its first token on. `tokens_per_second`: of all together,
    from asking to the last token, so that reading the prompts counts.
    """

    streams: int
    first_seconds: float
    stream_tokens_per_second: float | None
    tokens_per_second: float
    prompt_tokens: int
    answer_tokens: int


def speed_of(runs: Sequence[Sequence[Answer]]) -> Speed:
    """Of runs with the same number of answers, at least one."""
    answers = [answer for run in runs for answer in run]
    rates = [rate for answer in answers if (rate := answer.tokens_per_second) is not None]
    return Speed(
        streams=len(runs[0]),
        first_seconds=median(answer.first_seconds for answer in answers),
        stream_tokens_per_second=median(rates) if rates else None,
        tokens_per_second=median(_together(run) for run in runs),
        prompt_tokens=round(median(answer.prompt_tokens for answer in answers)),
        answer_tokens=round(median(answer.completion_tokens for answer in answers)),
    )


def _together(run: Sequence[Answer]) -> float:
    seconds = max(answer.last_at for answer in run) - min(answer.asked_at for answer in run)
    return sum(answer.completion_tokens for answer in run) / seconds if seconds > 0 else 0.0
