"""What the content of a chat's message is made of."""

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import Field

from mlxhub.core.medium import Medium, MediumKind, is_data_uri
from mlxhub.protocol.openai.sampling import Lenient
from mlxhub.protocol.parameters import Ignored
from mlxhub.refusals import InvalidRequest

MAX_PICTURES = 16
MAX_VIDEOS = 4
MAX_SOUNDS = 4
_MOST: dict[MediumKind, tuple[int, str]] = {
    "image": (MAX_PICTURES, "pictures"),
    "video": (MAX_VIDEOS, "videos"),
    "audio": (MAX_SOUNDS, "sounds"),
}


class ImageUrl(Lenient):
    url: str = Field(min_length=1, description="A data: URI; http(s) where the model may fetch pictures.")
    detail: Annotated[Any, Ignored(unless=("auto",))] = None


class VideoUrl(Lenient):
    url: str = Field(min_length=1, description="A data: URI; http(s) as of `image_url`.")


class InputAudio(Lenient):
    """Of what `format` it is, its bytes say."""

    data: str = Field(min_length=1, description="Base64.")
    format: str | None = None

    @property
    def medium(self) -> Medium:
        uri = self.data if is_data_uri(self.data) else f"data:;base64,{self.data}"
        return Medium("audio", uri)


class ContentPart(Lenient):
    type: str = Field(json_schema_extra={"enum": ["text", "image_url", "video_url", "input_audio"]})
    text: str | None = None
    image_url: ImageUrl | None = None
    video_url: VideoUrl | None = None
    input_audio: InputAudio | None = None

    @property
    def medium(self) -> Medium | None:
        """None: it is text, or nothing that is known."""
        match self.type:
            case "image_url":
                return Medium("image", self.image_url.url) if self.image_url else None
            case "video_url":
                return Medium("video", self.video_url.url) if self.video_url else None
            case "input_audio":
                return self.input_audio.medium if self.input_audio else None
            case _:
                return None


def checked_media(parts: Iterable[ContentPart]) -> tuple[Medium, ...]:
    """In their order. Raises InvalidRequest where there are too many."""
    media = tuple(medium for part in parts if (medium := part.medium) is not None)
    for kind, (most, name) in _MOST.items():
        count = sum(medium.kind == kind for medium in media)
        if count > most:
            raise InvalidRequest(f"messages: {count} {name}. At most {most} are taken.", "messages")
    return media
