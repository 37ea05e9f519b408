"""Models that hear or speak, in memory, by mlx-audio; on the engine thread."""

import inspect
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
from mlx_audio.stt.models.whisper.whisper import LANGUAGES
from mlx_audio.stt.models.whisper.whisper import Model as Whisper
from mlx_audio.stt.utils import load_model as load_hearing
from mlx_audio.tts.utils import load_model as load_speaking
from numpy.typing import NDArray

from mlxhub.errors import LoadFailed
from mlxhub.registry.architectures import can_hear, can_speak
from mlxhub.registry.model_files import ModelFile
from mlxhub.registry.model_json import read_object
from mlxhub.worker.engines.audio_requests import HearingRequest, Segment, SpeakingRequest, Word
from mlxhub.worker.engines.device import has_slow_halves

HEARING_RATE = 16_000
# What a model without windows of its own is given at a time.
_WINDOW_SECONDS = 30
_KOKORO = "kokoro"
# Names of OpenAI's voices mean the model's own.
_OPENAI_VOICES = frozenset(
    "alloy ash ballad cedar coral echo fable marin nova onyx sage shimmer verse".split()  # noqa: SIM905 - names
)

# Between two pieces of work it is called with what was heard since the last time.
Tell = Callable[[Sequence[Segment]], None]


class Hearer:
    """`languages`: those it can be told, by code; None: whoever asks may say any."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._is_whisper = isinstance(model, Whisper)
        self.translates = self._is_whisper and bool(model.is_multilingual)
        whispers = frozenset(LANGUAGES) if self.translates else frozenset({"en"})
        self.languages = whispers if self._is_whisper else None

    def hear(self, request: HearingRequest, samples: NDArray[np.float32], tell: Tell) -> str | None:
        """The language, as far as the model tells. `tell` is given each segment once."""
        if self._is_whisper:
            return self._hear_as_whisper(request, samples, tell)
        return self._hear_in_windows(request, samples, tell)

    def _hear_as_whisper(
        self, request: HearingRequest, samples: NDArray[np.float32], tell: Tell
    ) -> str | None:
        window = _Windows(self._model, tell)
        options: dict[str, Any] = {} if request.temperature is None else {"temperature": request.temperature}
        try:
            heard = self._model.generate(
                samples,
                language=request.language,
                task="translate" if request.translate else "transcribe",
                initial_prompt=request.prompt,
                word_timestamps=request.words,
                **options,
            )
        finally:
            window.close()
        tell([_segment(each) for each in heard.segments[window.told :]])
        return str(heard.language)

    def _hear_in_windows(
        self, request: HearingRequest, samples: NDArray[np.float32], tell: Tell
    ) -> str | None:
        length = _WINDOW_SECONDS * HEARING_RATE
        for begin in range(0, len(samples), length):
            part = samples[begin : begin + length]
            heard = self._model.generate(
                mx.array(part), **_known(self._model.generate, language=request.language)
            )
            start = begin / HEARING_RATE
            text = str(heard.text).strip()
            tell([Segment(start, start + len(part) / HEARING_RATE, f" {text}")] if text else [])
        return request.language


class _Windows:
    """Hands the thread back after each token, and tells of each window's segments when the next one begins.

    mlx-audio tells nobody before the last window is done; until then they are in a list of its own.
    """

    def __init__(self, model: Any, tell: Tell) -> None:
        self._model = model
        self._tell = tell
        self._decode = model.decode
        self.told = 0
        object.__setattr__(model, "decode", self._decoded)
        object.__setattr__(model, "decoder", _Paused(model["decoder"], lambda: tell(())))

    def close(self) -> None:
        object.__delattr__(self._model, "decode")
        object.__delattr__(self._model, "decoder")

    def _decoded(self, *arguments: Any, **options: Any) -> Any:
        # Called by decode_with_fallback, within generate.
        frame = sys._getframe(2)  # noqa: SLF001 - there is no other way to them
        segments = frame.f_locals.get("all_segments", [])
        fresh = [_segment(each) for each in segments[self.told :]]
        self.told = len(segments)
        self._tell(fresh)
        return self._decode(*arguments, **options)


class _Paused:
    """A module that hands the thread back before each call."""

    def __init__(self, module: Any, pause: Callable[[], None]) -> None:
        self._module = module
        self._pause = pause

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self._pause()
        return self._module(*arguments, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


class Speaker:
    """`voices`: those that lie beside its weights; none: its own code knows which there are."""

    def __init__(self, model: Any, family: str, voices: frozenset[str]) -> None:
        self._model = model
        self._family = family
        self.voices = voices

    def knows(self, voice: str) -> bool:
        return not self.voices or voice in self.voices or voice in _OPENAI_VOICES

    def speak(self, request: SpeakingRequest) -> Iterator[tuple[NDArray[np.float32], int]]:
        """Samples from -1 to 1, and how many are a second; as they come."""
        voice = None if request.voice in _OPENAI_VOICES else request.voice
        # Kokoro's voices begin with the letter of their language, and it does not look at them.
        language = voice[0] if voice and self._family == _KOKORO else None
        said = {"voice": voice, "speed": request.speed, "lang_code": language}
        for result in self._model.generate(request.text, **_known(self._model.generate, **said)):
            yield np.array(result.audio, dtype=np.float32).reshape(-1), int(result.sample_rate)


def load_voice(name: str, directory: Path) -> Hearer | Speaker:
    """Raises LoadFailed, and whatever mlx-audio raises on bad files."""
    config = read_object(ModelFile("config.json", directory / "config.json"))
    family = str(config.get("model_type") or config.get("architecture") or directory.name)
    if can_hear(family):
        model = load_hearing(directory)
        _make_fast(model)
        return Hearer(model)
    if can_speak(family):
        model = load_speaking(directory)
        _make_fast(model)
        voices = frozenset(file.stem for file in (directory / "voices").glob("*.safetensors"))
        return Speaker(model, family.lower(), voices)
    raise LoadFailed(name, f'mlx-audio knows no model that hears or speaks of family "{family}".')


def _make_fast(model: Any) -> None:
    if has_slow_halves() and not isinstance(model, Whisper):
        model.set_dtype(mx.float32)
    mx.eval(model.parameters())


def _known(function: Callable[..., Any], **options: Any) -> dict[str, Any]:
    """Those that are said, and that it takes by name."""
    parameters = inspect.signature(function).parameters
    return {key: value for key, value in options.items() if value is not None and key in parameters}


def _segment(told: Any) -> Segment:
    words = tuple(
        Word(str(each["word"]), float(each["start"]), float(each["end"])) for each in told.get("words") or ()
    )
    return Segment(
        start=float(told["start"]),
        end=float(told["end"]),
        text=str(told["text"]),
        tokens=tuple(told["tokens"]),
        temperature=float(told["temperature"]),
        avg_logprob=_finite(told["avg_logprob"]),
        compression_ratio=_finite(told["compression_ratio"]),
        no_speech_prob=_finite(told["no_speech_prob"]),
        words=words,
    )


def _finite(number: Any) -> float:
    """JSON has no NaN; of an empty answer there is nothing to doubt."""
    value = float(number)
    return value if math.isfinite(value) else 0.0
