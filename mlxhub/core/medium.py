"""What a chat may have beside text."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

MediumKind: TypeAlias = Literal["image", "video", "audio"]


@dataclass(frozen=True, slots=True)
class Medium:
    """`content`: a data: URI, an http(s) address until it is fetched, or the bytes of a file."""

    kind: MediumKind
    content: str | bytes
