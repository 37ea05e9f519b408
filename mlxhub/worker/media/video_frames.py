"""From a file to pictures of some of its frames, by PyAV."""

import math
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

from mlxhub.core.medium import FRAME_PIXELS
from mlxhub.refusals import InvalidRequest
from mlxhub.worker.media.containers import open_container

# What cameras, screens and editors write; decoders of all else are rarely used.
_CODECS = ("h264", "hevc", "vp8", "vp9", "av1", "mpeg4")
_MOST_SECONDS = 120
# All up to the last that is wanted are decoded: two minutes at 60 a second.
_MOST_DECODED = 7_200
_MOST_PIXELS = 1920 * 1088
_LONGEST_SIDE = 1280
_NOTHING = "there is no picture in it."


def measure(data: bytes, demuxer: str) -> tuple[int, float]:
    """How many frames, and how many of them in a second: counted, for headers lie. Raises InvalidRequest."""
    with open_container(data, demuxer) as container:
        stream = _stream_of(container)
        count, first, last = 0, math.inf, -math.inf
        for packet in container.demux(stream):
            if packet.size == 0:
                continue
            count += 1
            if packet.pts is not None:
                seconds = float(packet.pts * (stream.time_base or Fraction(1)))
                first, last = min(first, seconds), max(last, seconds)
            if count > _MOST_DECODED or last - first > _MOST_SECONDS:
                limits = f"{_MOST_SECONDS} s or {_MOST_DECODED:,} frames"
                raise _refusal(f"it is longer than {limits}. Send a part of it.")
        if count == 0:
            raise _refusal(_NOTHING)
        length = last - first
        return count, (count - 1) / length if count > 1 and length > 0 else 1.0


def frames_at(data: bytes, demuxer: str, places: tuple[int, ...]) -> Iterator[NDArray[np.uint8]]:
    """(3, height, width), all alike and one for each place: of the last there is where it has fewer.

    Raises InvalidRequest, and what PyAV does.
    """
    with open_container(data, demuxer) as container:
        stream = _stream_of(container)
        waiting = list(places)
        picture: NDArray[np.uint8] | None = None
        size, turns = (0, 0), 0
        for place, frame in enumerate(container.decode(stream)):
            if waiting[0] > place:
                continue
            if picture is None:
                size, turns = _size(frame), round(frame.rotation / 90) % 4
            picture = _picture(frame, size, turns)
            while waiting and waiting[0] <= place:
                waiting.pop(0)
                yield picture
            if not waiting:
                return
        if picture is None:
            raise _refusal(_NOTHING)
        for _ in waiting:
            yield picture


def _stream_of(container: "av.container.InputContainer") -> "av.VideoStream":
    stream = next(iter(container.streams.video), None)
    if stream is None:
        raise _refusal(_NOTHING)
    context = stream.codec_context
    if context.codec.canonical_name not in _CODECS:
        raise _refusal("send H.264, HEVC, VP8, VP9, AV1 or MPEG-4 video.")
    if context.width * context.height > _MOST_PIXELS:
        raise _refusal(
            f"its pictures have {context.width} x {context.height} pixels. Send it at 1920 x 1080 or smaller."
        )
    # Each thread keeps frames of its own. Of a stream that grows on its way no larger frame is allocated.
    context.thread_count = 1
    context.options = {**context.options, "max_pixels": str(_MOST_PIXELS)}
    return stream


def _size(frame: av.VideoFrame) -> tuple[int, int]:
    """Width and height as models get it."""
    scale = min(
        1.0,
        math.sqrt(FRAME_PIXELS / (frame.width * frame.height)),
        _LONGEST_SIDE / max(frame.width, frame.height),
    )
    return max(round(frame.width * scale), 1), max(round(frame.height * scale), 1)


def _picture(frame: av.VideoFrame, size: tuple[int, int], turns: int) -> NDArray[np.uint8]:
    """Upright: telephones write how they were held."""
    width, height = size
    pixels = frame.reformat(width, height, format="rgb24").to_ndarray()
    return np.ascontiguousarray(np.rot90(pixels, turns).transpose(2, 0, 1), np.uint8)


def _refusal(why: str) -> InvalidRequest:
    return InvalidRequest(why, "messages")
