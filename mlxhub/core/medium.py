"""What a chat may have beside text, and how much of it is handed on to a model's processor."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

MediumKind: TypeAlias = Literal["image", "video", "audio"]

# Models take smaller pictures, and their processors take many times a picture's size.
PICTURE_SIDE = 1536
VIDEO_FRAMES = 32
FRAME_PIXELS = 512 * 384
# Of those whose processors say nothing of it.
SOUND_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Medium:
    """`content`: a data: URI, an http(s) address until it is fetched, or the bytes of a file."""

    kind: MediumKind
    content: str | bytes


def is_data_uri(text: str) -> bool:
    return text[:5].lower() == "data:"
