"""POST /v1/audio/transcriptions, /translations and /speech: what a client sends and gets."""

import json
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

from mlxhub.protocol import sse
from mlxhub.protocol.openai.sampling import Lenient
from mlxhub.protocol.parameters import FormFields, Ignored, Refused, SentFile

MAX_PROMPT = 10_000
MAX_SPOKEN = 4096
Voice = Annotated[str, Field(pattern="^[A-Za-z0-9_-]{1,64}$")]
SpeechFormat = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]
MEDIA_TYPES: dict[SpeechFormat, str] = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}


class TranslationForm(FormFields):
    """`file`: wav, flac, mp3, m4a, ogg or webm."""

    file: SentFile
    model: str
    prompt: str | None = Field(None, max_length=MAX_PROMPT)
    response_format: Literal["json", "text", "srt", "vtt", "verbose_json"] | None = None
    temperature: float | None = Field(None, ge=0, le=1)

    @property
    def wants_words(self) -> bool:
        return False


class TranscriptionForm(TranslationForm):
    language: str | None = Field(None, max_length=32)
    timestamp_granularities: list[Literal["word", "segment"]] = Field([])
    stream: bool | None = None
    include: Annotated[Any, Ignored()] = None
    chunking_strategy: Annotated[Any, Ignored(unless=("auto",))] = None
    known_speaker_names: Annotated[Any, Refused("nobody here tells speakers apart.")] = None

    @property
    def wants_words(self) -> bool:
        return "word" in self.timestamp_granularities


class SpeechRequest(Lenient):
    model: str
    input: str = Field(min_length=1, max_length=MAX_SPOKEN)
    voice: Voice | None = Field(None, description="The model's; names of OpenAI's mean its usual one.")
    response_format: SpeechFormat | None = None
    speed: float | None = Field(None, ge=0.25, le=4)
    instructions: Annotated[Any, Ignored()] = None
    stream_format: Annotated[Any, Refused("speech is sent as a whole.", unless=("audio",))] = None


class _Answered(BaseModel):
    model_config = ConfigDict(extra="forbid", defer_build=True)


class Transcription(_Answered):
    text: str


class TimedWord(_Answered):
    word: str
    start: float
    end: float


class TimedText(_Answered):
    """Seconds. The numbers are the model's doubts."""

    id: int
    seek: int = 0
    start: float
    end: float
    text: str
    tokens: list[int]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float


class VerboseTranscription(_Answered):
    """`words` where they were asked for."""

    task: Literal["transcribe", "translate"]
    language: str
    duration: float
    text: str
    segments: list[TimedText]
    words: list[TimedWord] | None = None


class AnyTranscription(RootModel[VerboseTranscription | Transcription]):
    """As `response_format` asks."""

    model_config = ConfigDict(defer_build=True)


def as_srt(segments: Sequence[TimedText]) -> str:
    return "".join(
        f"{number}\n{_clock(each.start, ',')} --> {_clock(each.end, ',')}\n{_one_paragraph(each.text)}\n\n"
        for number, each in enumerate(segments, 1)
    )


def as_vtt(segments: Sequence[TimedText]) -> str:
    cues = (
        f"{_clock(each.start, '.')} --> {_clock(each.end, '.')}\n{_one_paragraph(each.text)}\n\n"
        for each in segments
    )
    return "WEBVTT\n\n" + "".join(cues)


def text_delta(text: str) -> bytes:
    return _event({"type": "transcript.text.delta", "delta": text})


def text_done(texts: Iterable[str]) -> bytes:
    return _event({"type": "transcript.text.done", "text": "".join(texts).strip()})


def _event(said: dict[str, str]) -> bytes:
    return sse.data_event(json.dumps(said, ensure_ascii=False).encode())


def _clock(seconds: float, point: str) -> str:
    milliseconds = round(max(0.0, seconds) * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{point}{rest % 1000:03}"


def _one_paragraph(text: str) -> str:
    """An empty line, or an arrow, would end the cue."""
    return " ".join(text.split()).replace("-->", "->")
