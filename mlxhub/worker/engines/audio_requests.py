"""What is asked of a model that hears or speaks, and what it says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HearingRequest:
    """`sound`: a file. `language`: as ISO 639-1; None: as the model hears. `translate`: to English.

    `temperature` None: the model tries again, hotter, where it repeats itself. `words`: each with its time.
    """

    sound: bytes
    language: str | None = None
    translate: bool = False
    prompt: str | None = None
    temperature: float | None = None
    words: bool = False

    def content(self) -> Iterator[str | bytes]:
        yield self.sound
        yield self.prompt or ""

    def terms(self) -> object:
        return "hear", self.language, self.translate, self.temperature, self.words


@dataclass(frozen=True, slots=True)
class PreparedSound:
    """One that can be decoded, and takes so many seconds."""

    request: HearingRequest
    seconds: float

    @property
    def prompt_tokens(self) -> int:
        return 0


@dataclass(frozen=True, slots=True)
class SpeakingRequest:
    """`voice` None: the model's own. `speed`: 1 is as the model speaks."""

    text: str
    voice: str | None = None
    speed: float = 1.0

    @property
    def prompt_tokens(self) -> int:
        """It is spoken as it stands."""
        return 0

    def content(self) -> Iterator[str]:
        yield self.text

    def terms(self) -> object:
        return "speak", self.voice, self.speed


@dataclass(frozen=True, slots=True)
class Word:
    """Seconds from the beginning of the sound."""

    word: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Segment:
    """What was heard from `start` to `end`, seconds. The numbers are the model's own doubts, never NaN."""

    start: float
    end: float
    text: str
    tokens: tuple[int, ...] = ()
    temperature: float = 0.0
    avg_logprob: float = 0.0
    compression_ratio: float = 0.0
    no_speech_prob: float = 0.0
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class Heard:
    handle: int
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class HeardLanguage:
    """As the model heard it, or as it was asked."""

    handle: int
    language: str


@dataclass(frozen=True, slots=True)
class Spoken:
    """`samples`: float32, little-endian, one channel, `rate` a second."""

    handle: int
    samples: bytes
    rate: int
