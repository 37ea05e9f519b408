"""A program of its own: decodes one file.

Standard input is a line of JSON, the order, and the file. Once it is ready it says so, then one line of JSON,
`refused` or what is told of it, and then the pixels. What it cannot decode ends it with a fault.
"""

import json
import sys
from typing import Any, BinaryIO

from mlxhub.refusals import InvalidRequest
from mlxhub.worker.media.containers import open_container
from mlxhub.worker.media.video_frames import frames_at, measure
from mlxhub.worker.media.videos import FrameChoice, chosen_frames
from mlxhub.worker.media.watched_decoding import READY


def _answer(order: dict[str, Any], data: bytes, target: BinaryIO) -> None:
    try:
        match order["kind"]:
            case "video":
                _write_video(data, order["demuxer"], FrameChoice(**order["choice"]), target)
            case "sound":
                _read_sound(data, order["demuxer"])
                _tell(target)
    except InvalidRequest as error:
        _tell(target, refused=str(error))


def _write_video(data: bytes, demuxer: str, choice: FrameChoice, target: BinaryIO) -> None:
    """Each frame as it comes, so that none of them waits for the others in memory."""
    total, rate = measure(data, demuxer)
    places = chosen_frames(total, rate, choice)
    for number, frame in enumerate(frames_at(data, demuxer, places)):
        if number == 0:
            _, height, width = frame.shape
            _tell(target, places=places, total=total, rate=rate, height=height, width=width)
        target.write(frame.data)


def _read_sound(data: bytes, demuxer: str) -> None:
    with open_container(data, demuxer) as container:
        for _ in container.demux(container.streams.audio[:1]):
            pass


def _tell(target: BinaryIO, **facts: Any) -> None:
    target.write(json.dumps(facts).encode() + b"\n")


def _main() -> None:
    target = sys.stdout.buffer
    target.write(READY)
    target.flush()
    order = json.loads(sys.stdin.buffer.readline())
    _answer(order, sys.stdin.buffer.read(), target)
    target.flush()


if __name__ == "__main__":
    _main()
