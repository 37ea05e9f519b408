"""Pictures that clients send: decoded within limits, to what models take."""

import io
import warnings
from dataclasses import dataclass

from PIL import Image, ImageOps

from mlxhub.core.medium import PICTURE_SIDE
from mlxhub.refusals import InvalidRequest
from mlxhub.worker.media.data_uris import data_of, digest_of

# What decoders of these have been attacked for years; of all others Pillow's are rarely used.
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
# A picture with an alpha channel takes seven bytes a pixel until it has none.
MAX_PIXELS = 24_000_000
# JPEG is decoded at a fraction of its size where it is larger than that; a progressive one is whole before.
_MAX_JPEG_PIXELS = 120_000_000
# Pillow opens nothing that is larger than twice this, and warns of what is larger at all.
Image.MAX_IMAGE_PIXELS = _MAX_JPEG_PIXELS // 2
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


@dataclass(frozen=True, slots=True)
class Picture:
    """`digest`: of its bytes as they were sent."""

    image: Image.Image
    digest: bytes


def decode_picture(sent: str | bytes, what: str, param: str = "messages") -> Picture:
    """`what` it is, and in which parameter, for errors. Raises InvalidRequest."""
    data = data_of(sent, what)
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
    return Picture(image, digest_of(data))


def png_of(image: Image.Image) -> bytes:
    target = io.BytesIO()
    image.save(target, format="PNG")
    return target.getvalue()


def plain_png(side: int) -> bytes:
    return png_of(Image.new("RGB", (side, side), "grey"))


def _decoded(data: bytes, what: str, param: str) -> Image.Image:
    with Image.open(io.BytesIO(data), formats=_FORMATS) as opened:
        width, height = opened.size
        is_shrunk = opened.format == "JPEG" and not opened.info.get("progressive")
        most = _MAX_JPEG_PIXELS if is_shrunk else MAX_PIXELS
        if width * height > most:
            raise _too_many_pixels(what, most, param)
        if getattr(opened, "is_animated", False):
            raise InvalidRequest(f"{what}: it is animated. Send one picture.", param)
        opened.draft("RGB", (PICTURE_SIDE, PICTURE_SIDE))
        if opened.width * opened.height > MAX_PIXELS:
            raise InvalidRequest(f"{what}: it is too large. Send a smaller one.", param)
        opened.load()
        opened.thumbnail((PICTURE_SIDE, PICTURE_SIDE))
        return ImageOps.exif_transpose(opened).convert("RGB")


def _too_many_pixels(what: str, most: int, param: str) -> InvalidRequest:
    return InvalidRequest(
        f"{what}: it has more than {most // 1_000_000} million pixels. Send a smaller one.", param
    )
