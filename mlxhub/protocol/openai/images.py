"""POST /v1/images/generations and /edits: what a client sends and gets."""

import json
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from mlxhub.protocol import sse
from mlxhub.protocol.openai.sampling import Lenient
from mlxhub.protocol.parameters import FormFields, Ignored, Refused, SentFile

MAX_IMAGES = 10
MAX_PROMPT = 32_000
MAX_STEPS = 200
MAX_SIDE = 2048
_SIZE = re.compile(r"([1-9][0-9]{1,3})x([1-9][0-9]{1,3})")


class DrawingFields(FormFields):
    """What both routes take. `seed` and `steps` are no parameters of OpenAI's."""

    model: str
    prompt: str = Field(min_length=1, max_length=MAX_PROMPT)
    n: int | None = Field(None, ge=1, le=MAX_IMAGES)
    size: str | None = Field(None, description="WIDTHxHEIGHT, multiples of 16 up to 2048; auto.")
    seed: int | None = Field(None, ge=0, lt=1 << 32, description="The same picture again.")
    steps: int | None = Field(None, ge=1, le=MAX_STEPS)
    guidance: float | None = Field(None, ge=0, le=100)
    negative_prompt: str | None = Field(None, max_length=MAX_PROMPT)
    response_format: Literal["b64_json", "url"] | None = None
    stream: bool | None = None
    partial_images: Annotated[Any, Ignored(unless=(0,))] = None
    output_format: Annotated[Any, Refused("pictures are PNG here.", unless=("png",))] = None
    output_compression: Annotated[Any, Ignored()] = None
    background: Annotated[Any, Ignored(unless=("auto", "opaque"))] = None
    quality: Annotated[Any, Ignored(unless=("auto",))] = None
    style: Annotated[Any, Ignored()] = None
    moderation: Annotated[Any, Ignored()] = None
    user: Annotated[Any, Ignored()] = None

    @field_validator("size")
    @classmethod
    def _size_is_one(cls, size: str | None) -> str | None:
        if size not in (None, "auto"):
            found = _SIZE.fullmatch(size)
            if found is None or any(int(side) % 16 or int(side) > MAX_SIDE for side in found.groups()):
                raise ValueError(
                    f"it must be WIDTHxHEIGHT, such as 1024x1024: multiples of 16 up to {MAX_SIDE}"
                )
        return size

    @property
    def sides(self) -> tuple[int, int] | None:
        """Width and height; None: as the model does it."""
        found = _SIZE.fullmatch(self.size or "")
        return None if found is None else (int(found[1]), int(found[2]))


class GenerationsRequest(DrawingFields, Lenient):
    model_config = Lenient.model_config


class EditsForm(DrawingFields):
    """`image`: PNG, JPEG, WEBP or GIF."""

    image: SentFile
    mask: Annotated[Any, Refused("send none, for all of the picture is changed.")] = None
    strength: float | None = Field(None, gt=0, le=1, description="How much of the picture may change.")
    input_fidelity: Annotated[Any, Ignored()] = None


class _Answered(BaseModel):
    model_config = ConfigDict(extra="forbid", defer_build=True)


class AnsweredImage(_Answered):
    """Base64 of a PNG, or where it lies for an hour; the seed draws it again."""

    b64_json: str | None = None
    url: str | None = None
    seed: int


class Images(_Answered):
    created: int
    data: list[AnsweredImage]
    output_format: Literal["png"] = "png"
    size: str


def progress_event(kind: str, index: int, step: int, steps: int) -> bytes:
    """`kind`: image_generation or image_edit."""
    return _event(f"{kind}.progress", {"image_index": index, "step": step, "steps": steps})


def completed_event(kind: str, index: int, image: AnsweredImage, created: int, size: str) -> bytes:
    said = image.model_dump(exclude_none=True)
    return _event(
        f"{kind}.completed",
        {"image_index": index, "created_at": created, "output_format": "png", "size": size, **said},
    )


def _event(kind: str, said: dict[str, Any]) -> bytes:
    return sse.typed_event(kind, json.dumps({"type": kind, **said}).encode())
