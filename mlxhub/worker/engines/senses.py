"""What a model takes beside text, as far as its files and its processor tell."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlx_vlm.utils import DEFAULT_VIDEO_SAMPLING, processor_video_sampling

from mlxhub.core.medium import SOUND_SECONDS, MediumKind
from mlxhub.refusals import InvalidRequest
from mlxhub.worker.media.videos import FrameChoice

_NAMES: dict[MediumKind, str] = {
    "image": "pictures (image_url)",
    "video": "video (video_url)",
    "audio": "sound (input_audio)",
}
_TOKENS: dict[MediumKind, tuple[str, ...]] = {
    "image": ("image_token_id", "image_token_index", "media_placeholder_token_id"),
    "video": ("video_token_id", "video_token_index"),
    "audio": ("audio_token_id", "audio_token_index", "sound_context_token_id"),
}
# Of processors that take them; pictures all do.
_PARAMETERS: dict[MediumKind, tuple[str, ...]] = {"video": ("videos",), "audio": ("audio", "audios")}
_RATE = 16_000
# Of those that say how many places a sound has but not how long each is: Gemma 3n.
_MS_PER_PLACE = 160


@dataclass(frozen=True, slots=True)
class Hearing:
    """Samples in a second; `step`: of so many samples each sound has to be a multiple, and all be alike long.

    1: neither. mlx-vlm mistakes where sounds of Gemma 4 begin and end if they are not.
    """

    rate: int
    most_seconds: float
    step: int
    takes_several: bool


@dataclass(frozen=True, slots=True)
class Senses:
    """`tokens`: what stands for a piece of a medium in a prompt; none where the model has no such sense.

    `marks`: the same as text, where the processor says it.
    """

    tokens: Mapping[MediumKind, frozenset[int]]
    marks: Mapping[MediumKind, str]
    hearing: Hearing
    watching: FrameChoice

    def check(self, kind: MediumKind) -> None:
        """Raises InvalidRequest where the model has no sense for it."""
        if not self.tokens[kind]:
            taken = ", ".join(["text", *(_NAMES[each] for each, tokens in self.tokens.items() if tokens)])
            raise InvalidRequest(
                f"messages: this model takes no {_NAMES[kind]}. It takes {taken}.", "messages"
            )


def find_senses(files: Mapping[str, Any], model: Any, processor: Any) -> Senses:
    """`files`: config.json."""
    tokens = {kind: _tokens(kind, files, model, processor) for kind in _TOKENS}
    said = {kind: str(getattr(processor, f"{kind}_token", "") or "") for kind in _TOKENS}
    marks = {kind: mark for kind, mark in said.items() if mark}
    return Senses(tokens, marks, _hearing(processor), _watching(processor))


def _tokens(kind: MediumKind, files: Mapping[str, Any], model: Any, processor: Any) -> frozenset[int]:
    """A processor may know a token of which its model knows nothing."""
    known = _numbers(model.config, _TOKENS[kind])
    own = _numbers(processor, (f"{kind}_token_id",))
    if kind == "image":
        return known | own
    parameters = inspect.signature(getattr(processor, "process", processor)).parameters
    takes = any(name in parameters for name in _PARAMETERS[kind])
    lacks = _is_deaf(files, model) if kind == "audio" else _is_blind(processor)
    return known | own if known and takes and not lacks else frozenset()


def _is_deaf(files: Mapping[str, Any], model: Any) -> bool:
    """Also one that hears with other weights than it reads by: it has one set of them for all its rows."""
    lacks = any(files.get(key, 0) is None for key in ("audio_config", "sound_config"))
    return lacks or hasattr(model, "set_modality")


def _is_blind(processor: Any) -> bool:
    """To videos: some processors name the parameter, and do nothing with it."""
    return getattr(processor, "video_processor", None) is None


def _numbers(owner: Any, names: tuple[str, ...]) -> frozenset[int]:
    found = (getattr(owner, name, None) for name in names)
    return frozenset(number for number in found if isinstance(number, int))


def _hearing(processor: Any) -> Hearing:
    rate = int(getattr(getattr(processor, "feature_extractor", None), "sampling_rate", _RATE))
    most, step = float(SOUND_SECONDS), 1
    own_ms = getattr(processor, "audio_ms_per_token", None)
    if (places := getattr(processor, "audio_seq_length", None)) is not None:
        most = min(most, places * (own_ms or _MS_PER_PLACE) / 1000)
    if own_ms is not None:
        step = rate * int(own_ms) // 1000
    return Hearing(rate, most, step, bool(getattr(processor, "supports_multiple_audio", False)))


def _watching(processor: Any) -> FrameChoice:
    told = processor_video_sampling(processor).merge(DEFAULT_VIDEO_SAMPLING)
    return FrameChoice(
        rate=told.fps or 1,
        least=told.min_frames or 1,
        most=told.max_frames or 1,
        multiple=told.frame_factor or 1,
    )
