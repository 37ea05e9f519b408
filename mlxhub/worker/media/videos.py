"""Videos that clients send: some of their frames, within limits, from memory to memory."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

from mlxhub.refusals import InvalidRequest
from mlxhub.worker.media.containers import demuxer_of, open_container
from mlxhub.worker.media.data_uris import data_of, digest_of

_FORMATS = "mp4, mov, webm or mkv"
_DEMUXERS = ("mp4", "matroska")
# What cameras, screens and editors write; decoders of all else are rarely used.
_CODECS = ("h264", "hevc", "vp8", "vp9", "av1", "mpeg4")
MOST_SECONDS = 120
# All up to the last that is wanted are decoded: two minutes at 60 a second.
_MOST_DECODED = 7_200
# A decoder keeps up to sixteen frames, of a byte and a half for each pixel.
_MOST_PIXELS = 1920 * 1088
MOST_FRAMES = 64
# Of a frame as models get it; their processors take many times its size.
FRAME_PIXELS = 640 * 480
_LONGEST_SIDE = 1280


@dataclass(frozen=True, slots=True)
class FrameChoice:
    """So many frames of each second, but `least` and `most` altogether, and a multiple of `multiple`."""

    rate: float
    least: int
    most: int
    multiple: int


@dataclass(frozen=True, slots=True)
class Video:
    """`frames`: (frames, 3, height, width). `places`: which they are of its `total`, at `rate` a second."""

    frames: NDArray[np.uint8]
    places: tuple[int, ...]
    total: int
    rate: float
    digest: bytes


def decode_video(sent: str | bytes, choice: FrameChoice, what: str) -> Video:
    """`what` it is, for errors. Raises InvalidRequest, with no word of the decoder's."""
    data = data_of(sent, what)
    demuxer = demuxer_of(data)
    if demuxer not in _DEMUXERS:
        raise InvalidRequest(f"{what}: it is no {_FORMATS}.", "messages")
    try:
        total, rate = _measured(data, demuxer, what)
        places = chosen_frames(total, rate, choice)
        frames = list(_decoded(data, demuxer, places, what))
    except InvalidRequest:
        raise
    except Exception:  # noqa: BLE001 - decoders raise anything, and their words may tell addresses
        raise InvalidRequest(f"{what}: it cannot be decoded. Send a whole {_FORMATS}.", "messages") from None
    if not frames:
        raise InvalidRequest(f"{what}: there is no picture in it.", "messages")
    return Video(np.stack(frames), places[: len(frames)], total, rate, digest_of(data))


def chosen_frames(total: int, rate: float, choice: FrameChoice) -> tuple[int, ...]:
    """Evenly from the first to the last; of very few some come twice."""
    most = max(min(choice.most, MOST_FRAMES, total), choice.multiple)
    wanted = min(max(total / rate * choice.rate, choice.least), most)
    count = max(math.floor(wanted / choice.multiple), 1) * choice.multiple
    return tuple(round(place) for place in np.linspace(0, total - 1, count))


def _measured(data: bytes, demuxer: str, what: str) -> tuple[int, float]:
    """How many frames, and how many of them in a second: counted, for headers lie."""
    with open_container(data, demuxer) as container:
        stream = _stream_of(container, what)
        count, first, last = 0, math.inf, -math.inf
        for packet in container.demux(stream):
            if packet.size == 0:
                continue
            count += 1
            if packet.pts is not None:
                seconds = float(packet.pts * (stream.time_base or Fraction(1)))
                first, last = min(first, seconds), max(last, seconds)
            if count > _MOST_DECODED or last - first > MOST_SECONDS:
                limits = f"{MOST_SECONDS} s or {_MOST_DECODED:,} frames"
                raise InvalidRequest(f"{what}: it is longer than {limits}. Send a part of it.", "messages")
        if count == 0:
            raise InvalidRequest(f"{what}: there is no picture in it.", "messages")
        length = last - first
        return count, (count - 1) / length if count > 1 and length > 0 else 1.0


def _decoded(data: bytes, demuxer: str, places: tuple[int, ...], what: str) -> Iterator[NDArray[np.uint8]]:
    with open_container(data, demuxer) as container:
        stream = _stream_of(container, what)
        waiting = list(places)
        size: tuple[int, int] | None = None
        for place, frame in enumerate(container.decode(stream)):
            if waiting and waiting[0] <= place:
                size = size or _size(frame)
                picture = _picture(frame, size)
                while waiting and waiting[0] <= place:
                    waiting.pop(0)
                    yield picture
            if not waiting:
                return


def _stream_of(container: "av.container.InputContainer", what: str) -> "av.VideoStream":
    stream = next(iter(container.streams.video), None)
    if stream is None:
        raise InvalidRequest(f"{what}: there is no picture in it.", "messages")
    context = stream.codec_context
    if context.codec.canonical_name not in _CODECS:
        raise InvalidRequest(f"{what}: send H.264, HEVC, VP8, VP9, AV1 or MPEG-4 video.", "messages")
    if context.width * context.height > _MOST_PIXELS:
        raise InvalidRequest(
            f"{what}: its pictures have {context.width} x {context.height} pixels. "
            "Send it at 1920 x 1080 or smaller.",
            "messages",
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


def _picture(frame: av.VideoFrame, size: tuple[int, int]) -> NDArray[np.uint8]:
    """(3, height, width), upright: telephones write how they were held."""
    width, height = size
    pixels = frame.reformat(width, height, format="rgb24").to_ndarray()
    upright = np.rot90(pixels, round(frame.rotation / 90) % 4)
    return np.ascontiguousarray(upright.transpose(2, 0, 1), np.uint8)
