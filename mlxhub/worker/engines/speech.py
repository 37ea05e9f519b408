"""The engine of models that hear or speak: one request at a time, a piece of it in each step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlxhub.core.memory import MemoryNeed
from mlxhub.errors import MlxhubError, NotLoaded
from mlxhub.files.imports import collector_at_rest
from mlxhub.refusals import InvalidRequest
from mlxhub.worker.engines.audio_requests import (
    Heard,
    HeardLanguage,
    HearingRequest,
    PreparedSound,
    Segment,
    SpeakingRequest,
    Spoken,
)
from mlxhub.worker.engines.device_memory import DeviceMemory
from mlxhub.worker.engines.engine import Delta, EngineLoad, LoadedModel
from mlxhub.worker.engines.model_source import ModelSource
from mlxhub.worker.engines.one_at_a_time import OneAtATime
from mlxhub.worker.engines.open_files import kept_open_files

if TYPE_CHECKING:
    from mlxhub.worker.engines.voices import Hearer, Speaker

_WHY_ONE = "what is heard or spoken takes the whole model"
# A sentence is one piece to most models that speak.
_STEP_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class SpeechEngineOptions:
    source: ModelSource
    max_audio_seconds: float


class SpeechEngine:
    """An Engine of HearingRequest and SpeakingRequest."""

    def __init__(self, options: SpeechEngineOptions) -> None:
        self._options = options
        self._memory = DeviceMemory()
        self._voice: Hearer | Speaker | None = None
        self._work: OneAtATime[PreparedSound | SpeakingRequest] = OneAtATime(self._carry_out)
        self._directory: Path | None = None

    def measure(self) -> MemoryNeed:
        self._directory = self._options.source.find()
        return self._options.source.measure(self._directory)

    def load(self, reserved_bytes: int = 0) -> LoadedModel:
        source = self._options.source
        directory, self._directory = self._directory or source.find(), None
        self._memory.limit(reserved_bytes)
        with kept_open_files(), collector_at_rest():
            from mlxhub.worker.engines.voices import load_voice  # noqa: PLC0415 - only who loads pays for it

        self._voice = load_voice(source.name, directory)
        return LoadedModel(None, 1, why_one_at_a_time=_WHY_ONE, longest_step_seconds=_STEP_SECONDS)

    def unload(self) -> None:
        self._work.clear()
        self._voice = None
        self._memory.release()

    def prepare(self, request: HearingRequest | SpeakingRequest) -> PreparedSound | SpeakingRequest:
        voice = self._voice
        if voice is None:
            raise NotLoaded(self._options.source.name)
        from mlxhub.worker.engines.voices import HEARING_RATE, Hearer  # noqa: PLC0415 - imported by the load

        if isinstance(request, SpeakingRequest):
            if isinstance(voice, Hearer):
                raise InvalidRequest(
                    "This model hears, and does not speak. Use /v1/audio/transcriptions.", "model"
                )
            if request.voice is not None and not voice.knows(request.voice):
                known = ", ".join(sorted(voice.voices)[:20])
                raise InvalidRequest(f"voice: this model has none of that name. It has {known}.", "voice")
            return request
        if not isinstance(voice, Hearer):
            raise InvalidRequest("This model speaks, and does not hear. Use /v1/audio/speech.", "model")
        _check(request, voice)
        from mlxhub.worker.media.sounds import SentSound, seconds_of  # noqa: PLC0415 - who speaks decodes nothing

        sent = SentSound(request.sound, self._options.max_audio_seconds)
        return PreparedSound(request, seconds_of(sent, HEARING_RATE))

    def compile(self, request: PreparedSound | SpeakingRequest) -> PreparedSound | SpeakingRequest:
        return request

    def submit(self, handle: int, request: PreparedSound | SpeakingRequest) -> None:
        self._work.submit(handle, request)

    def cancel(self, handle: int) -> None:
        self._work.cancel(handle)

    def step(self) -> list[Delta]:
        return self._work.step()

    def fail_all(self, error: MlxhubError) -> list[Delta]:
        return self._work.fail_all(error)

    @property
    def has_work(self) -> bool:
        return self._work.has_work

    @property
    def measured(self) -> EngineLoad:
        return self._memory.measured(self._work.taken, self._work.peak)

    def _carry_out(
        self,
        handle: int,
        request: PreparedSound | SpeakingRequest,
        say: Callable[[Delta], None],
        pause: Callable[[], None],
    ) -> None:
        """`prepare` saw to it that the voice is one for this."""
        from mlxhub.worker.engines.voices import (  # noqa: PLC0415 - imported by the load
            HEARING_RATE,
            Hearer,
            Speaker,
        )

        if isinstance(request, SpeakingRequest):
            assert isinstance(self._voice, Speaker)
            for samples, rate in self._voice.speak(request):
                say(Spoken(handle, samples.astype("<f4").tobytes(), rate))
                pause()
            return

        def tell(segments: Sequence[Segment]) -> None:
            if segments:
                say(Heard(handle, tuple(segments)))
            pause()

        from mlxhub.worker.media.sounds import SentSound, decode_sound  # noqa: PLC0415 - likewise

        assert isinstance(self._voice, Hearer)
        # Only now: so many may wait, and half an hour of samples takes a hundred times its file.
        sent = SentSound(request.request.sound, self._options.max_audio_seconds, is_tried=True)
        sound = decode_sound(sent, HEARING_RATE)
        language = self._voice.hear(request.request, sound.samples, tell)
        if language is not None:
            say(HeardLanguage(handle, language))


def _check(request: HearingRequest, voice: Hearer) -> None:
    """Raises InvalidRequest."""
    languages = voice.languages
    if request.language is not None and languages is not None and request.language not in languages:
        raise InvalidRequest(
            "language: not one that this model knows. Send its code, such as en, or leave it out.", "language"
        )
    if request.translate and not voice.translates:
        raise InvalidRequest("This model does not translate. Use /v1/audio/transcriptions.", "model")
