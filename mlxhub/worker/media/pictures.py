"""Pictures that clients send: decoded within limits, to what models take."""

import base64
import binascii
import hashlib
import io
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageOps

from mlxhub.refusals import InvalidRequest

# What decoders of these have been attacked for years; of all others Pillow's are rarely used.
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
_DATA = re.compile(r"data:[a-z0-9.+/-]*(?:;[a-z0-9=.+-]*)*?;base64,", re.IGNORECASE)
# A picture with an alpha channel takes seven bytes a pixel until it has none.
MAX_PIXELS = 24_000_000
# JPEG is decoded at a fraction of its size where it is larger than that; a progressive one is whole before.
_MAX_JPEG_PIXELS = 120_000_000
# Pillow opens nothing that is larger than twice this, and warns of what is larger at all.
Image.MAX_IMAGE_PIXELS = _MAX_JPEG_PIXELS // 2
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
# Models take less, and their processors take many times a picture's size.
_LONGEST_SIDE = 1536
# Of a picture's identity, as part of the tokens that its prompt is known by.
_KEY_BYTES = 4


@dataclass(frozen=True, slots=True)
class Picture:
    """`digest`: of its bytes as they were sent."""

    image: Image.Image
    digest: bytes


def picture_keys(digest: bytes, count: int, above: int) -> list[int]:
    """Numbers from `above` up that stand for so many of its tokens, and for no other picture's."""
    stream = hashlib.shake_128(digest).digest(_KEY_BYTES * count)
    room = 2**31 - above
    return [
        above + int.from_bytes(stream[place : place + _KEY_BYTES], "little") % room
        for place in range(0, len(stream), _KEY_BYTES)
    ]


def decode_pictures(sent: Sequence[str | bytes]) -> list[Picture]:
    """Each a data URI, or the bytes of a file. Raises InvalidRequest, with no word of the decoder's."""
    return [decode_picture(each, f"image {place}") for place, each in enumerate(sent, 1)]


def decode_picture(sent: str | bytes, what: str, param: str = "messages") -> Picture:
    """`what` it is, and in which parameter, for errors. Raises InvalidRequest."""
    data = sent if isinstance(sent, bytes) else _data_of(sent, what)
    try:
        image = _decoded(data, what, param)
    except InvalidRequest:
        raise
    except Image.DecompressionBombError:
        raise _too_many_pixels(what, _MAX_JPEG_PIXELS, param) from None
    except Exception:  # noqa: BLE001 - decoders raise anything, and their words may tell addresses
        raise InvalidRequest(
            f"{what}: it cannot be decoded. Send a whole PNG, JPEG, WEBP or GIF.", param
        ) from None
    return Picture(image, hashlib.blake2b(data, digest_size=16).digest())


def png_of(image: Image.Image) -> bytes:
    target = io.BytesIO()
    image.save(target, format="PNG")
    return target.getvalue()


def plain_png(side: int) -> bytes:
    return png_of(Image.new("RGB", (side, side), "grey"))


def _data_of(uri: str, what: str) -> bytes:
    found = _DATA.match(uri)
    if found is None:
        raise InvalidRequest(f"{what}: it must be a data: URI with base64.", "messages")
    try:
        return base64.b64decode(uri[found.end() :], validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest(f"{what}: its base64 is not valid.", "messages") from None


def _decoded(data: bytes, what: str, param: str) -> Image.Image:
    with Image.open(io.BytesIO(data), formats=_FORMATS) as opened:
        width, height = opened.size
        is_shrunk = opened.format == "JPEG" and not opened.info.get("progressive")
        most = _MAX_JPEG_PIXELS if is_shrunk else MAX_PIXELS
        if width * height > most:
            raise _too_many_pixels(what, most, param)
        if getattr(opened, "is_animated", False):
            raise InvalidRequest(f"{what}: it is animated. Send one picture.", param)
        opened.draft("RGB", (_LONGEST_SIDE, _LONGEST_SIDE))
        if opened.width * opened.height > MAX_PIXELS:
            raise InvalidRequest(f"{what}: it is too large. Send a smaller one.", param)
        opened.load()
        opened.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
        return ImageOps.exif_transpose(opened).convert("RGB")


def _too_many_pixels(what: str, most: int, param: str) -> InvalidRequest:
    return InvalidRequest(
        f"{what}: it has more than {most // 1_000_000} million pixels. Send a smaller one.", param
    )
