"""Videos that clients send: some of their frames, within limits, from memory to memory."""

import json
import math
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from mlxhub.core.medium import FRAME_PIXELS, VIDEO_FRAMES
from mlxhub.refusals import InvalidRequest
from mlxhub.worker.media.containers import demuxer_of
from mlxhub.worker.media.data_uris import data_of, digest_of
from mlxhub.worker.media.watched_decoding import decode_watched

_FORMATS = "mp4, mov, webm or mkv"
_DEMUXERS = ("mp4", "matroska")
_MOST_BYTES = VIDEO_FRAMES * FRAME_PIXELS * 3 + 1_000_000
# A decoder of large frames keeps sixteen; with the file, and what holds up to a colour in 16 bits.
_MEMORY_BYTES = 300_000_000


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
    """In a process of its own. `what` it is, for errors. Raises InvalidRequest."""

    def refusal(why: str) -> InvalidRequest:
        return InvalidRequest(f"{what}: {why}", "messages")

    data = data_of(sent, what)
    demuxer = demuxer_of(data)
    if demuxer not in _DEMUXERS:
        raise refusal(f"it is no {_FORMATS}.")
    order = {"kind": "video", "demuxer": demuxer, "choice": asdict(choice)}
    output = decode_watched(order, data, _MEMORY_BYTES, _MOST_BYTES, refusal)
    if output is None:
        raise refusal(f"it cannot be decoded. Send a whole {_FORMATS}.")
    begin = output.index(b"\n") + 1
    told = json.loads(output[:begin])
    shape = (len(told["places"]), 3, told["height"], told["width"])
    frames = np.frombuffer(output, np.uint8, offset=begin).reshape(shape)
    return Video(frames, tuple(told["places"]), told["total"], told["rate"], digest_of(data))


def chosen_frames(total: int, rate: float, choice: FrameChoice) -> tuple[int, ...]:
    """Evenly from the first to the last; of very few some come twice."""
    most = max(min(choice.most, VIDEO_FRAMES, total), choice.multiple)
    wanted = min(max(total / rate * choice.rate, choice.least), most)
    count = max(math.floor(wanted / choice.multiple), 1) * choice.multiple
    return tuple(round(place) for place in np.linspace(0, total - 1, count))
