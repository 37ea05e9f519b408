"""Videos and sounds that no model should see: each is one clear refusal, and takes little memory."""

import io
import re
import struct
import wave
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import av
import httpx
import numpy as np
import psutil
import pytest

from mlxhub.files.watched_run import resident_bytes
from mlxhub.refusals import InvalidRequest
from mlxhub.worker.media.videos import FrameChoice, decode_video
from mlxhub.worker.media.wanted import while_wanted
from tests.models.senses import make_model_of_all_senses
from tests.worker.processes import Worker, running_worker
from tests.worker.test_senses import RGB, sound, video
from tests.worker.test_vision import COLOUR, said, user

MOST_BYTES = 200_000_000
CHOICE = FrameChoice(2.0, 4, 8, 2)
ASKED = {"type": "text", "text": "What is this?"}
# The interpreter, the limits, and what it may get before it is seen.
MOST_OF_A_CHILD = 550_000_000


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    directory = make_model_of_all_senses(tmp_path_factory.mktemp("senses") / "model")
    with running_worker(model_path=str(directory), request_timeout=60) as running:
        assert running.post("/load").status_code == 200
        yield running


def video_of(
    colour: str = "red",
    size: tuple[int, int] = (64, 48),
    count: int = 8,
    *,
    rate: int = 4,
    form: str = "mp4",
    codec: str = "libx264",
    pixels: str = "yuv420p",
    muxer: dict[str, str] | None = None,
    **options: str,
) -> bytes:
    target = io.BytesIO()
    with av.open(target, "w", format=form, options=muxer or {}) as container:
        stream = container.add_stream(codec, rate=rate, options=options)
        stream.width, stream.height = size
        stream.pix_fmt = pixels
        plain = np.full((size[1], size[0], 3), RGB[colour], np.uint8)
        for _ in range(count):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(plain, format="rgb24")))
        container.mux(stream.encode(None))
    return target.getvalue()


def corner_video() -> bytes:
    """Of 64 x 48, black but for its first quarter."""
    target = io.BytesIO()
    with av.open(target, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=4)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        picture = np.zeros((48, 64, 3), np.uint8)
        picture[:24, :32] = 255
        for _ in range(2):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return target.getvalue()


def sound_of(seconds: float, *, channels: int = 1) -> bytes:
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(16_000)
        tone = (np.sin(np.arange(round(seconds * 16_000)) / 6) * 20_000).astype("<i2")
        file.writeframes(np.repeat(tone, channels).tobytes())
    return target.getvalue()


def float_wav(value: float) -> bytes:
    data = struct.pack("<f", value) * 16_000
    form = struct.pack("<HHIIHH", 3, 1, 16_000, 64_000, 4, 32)
    return (
        b"RIFF"
        + struct.pack("<I", 36 + len(data))
        + b"WAVEfmt \x10\0\0\0"
        + form
        + b"data"
        + struct.pack("<I", len(data))
        + data
    )


def many_streams(count: int, one: bytes, form: str) -> bytes:
    """The same stream so many times."""
    target = io.BytesIO()
    with av.open(io.BytesIO(one)) as source, av.open(target, "w", format=form) as container:
        stream = source.streams.video[0]
        copies = [container.add_stream_from_template(stream) for _ in range(count)]
        for packet in source.demux(stream):
            if packet.size:
                for copy in copies:
                    again = av.Packet(bytes(packet))
                    again.pts, again.dts, again.time_base = packet.pts, packet.dts, packet.time_base
                    again.stream = copy
                    container.mux(again)
    return target.getvalue()


def changed(data: bytes, box: bytes, offset: int, *numbers: int) -> bytes:
    """With other numbers of four bytes, so far behind the first byte of the box."""
    at = data.index(box) - 4 + offset
    return data[:at] + struct.pack(f">{len(numbers)}I", *numbers) + data[at + 4 * len(numbers) :]


def so_many_samples(count: int) -> bytes:
    """Two KB whose tables say that there are so many frames, each of one byte."""
    data = changed(video_of(), b"stsz", 12, 1, count)
    return changed(changed(data, b"stsc", 20, count), b"stts", 16, count)


def so_many_in_a_fragment(count: int) -> bytes:
    fragmented = video_of(muxer={"movflags": "frag_keyframe+empty_moov"})
    return changed(fragmented, b"trun", 8, 0, count)


def element(name: str, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return bytes.fromhex(name) + (len(content) | 1 << 56).to_bytes(8, "big") + content


def packed_mkv(algorithm: int, settings: bytes, frame: bytes, kind: bytes) -> bytes:
    """A block of 256 frames, each to be unpacked: by zlib (0), or by `settings` before it (3)."""
    packing = element("5034", element("4254", bytes([algorithm])), element("4255", settings))
    encoding = element("6D80", element("6240", element("5032", b"\1"), packing))
    if kind == b"\1":
        codec = element("86", b"V_VP8") + element("E0", element("B0", b"\x40"), element("BA", b"\x30"))
    else:
        codec = element("86", b"A_PCM/INT/LIT") + element("E1", element("B5", struct.pack(">f", 16_000)))
    track = element("AE", element("D7", b"\1"), element("83", kind), codec, encoding)
    block = b"\x81\0\0\x84\xff" + frame * 256
    head = element("1A45DFA3", element("4282", b"matroska"))
    cluster = element("1F43B675", element("E7", b"\0"), element("A3", block))
    return head + element("18538067", element("1654AE6B", track), cluster)


def grown(size: tuple[int, int]) -> bytes:
    """H.264 that says it is small, and is of that size."""
    target = io.BytesIO()
    large = video_of(size=size, count=3, preset="ultrafast")
    with (
        av.open(io.BytesIO(large)) as source,
        av.open(io.BytesIO(video_of())) as small,
        av.open(target, "w", format="matroska") as container,
    ):
        copy = container.add_stream_from_template(small.streams.video[0])
        wanted = source.streams.video[0]
        headers = wanted.codec_context.extradata or b""
        length = int.from_bytes(headers[6:8], "big")
        sequence, picture = headers[8 : 8 + length], headers[11 + length :]
        picture = picture[: int.from_bytes(headers[9 + length : 11 + length], "big")]
        units = b"".join(len(each).to_bytes(4, "big") + each for each in (sequence, picture))
        for number, packet in enumerate(source.demux(wanted)):
            if packet.size:
                again = av.Packet(units + bytes(packet))
                again.pts = again.dts = number
                again.stream = copy
                container.mux(again)
    return target.getvalue()


ZEROS = zlib.compress(bytes(9_000_000), 9)
TOO_LARGE = "it takes too much memory|cannot be decoded|longer than|there is no"
HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", "it is no mp4"),
    "a wav": (lambda: sound_of(1), "it is no mp4"),
    "truncated": (lambda: video_of()[:900], "there is no picture in it"),
    "without its index": (lambda: video_of()[:48], "cannot be decoded"),
    "4K": (lambda: video_of(size=(3840, 2160), count=1, preset="ultrafast"), "3840 x 2160"),
    "4K that says it is small": (lambda: grown((3840, 2160)), "cannot be decoded"),
    "Motion JPEG": (
        lambda: video_of(form="mov", codec="mjpeg", pixels="yuvj420p"),
        r"send H\.264",
    ),
    "raw frames": (lambda: video_of(form="matroska", codec="rawvideo"), r"send H\.264"),
    "ProRes": (lambda: video_of(form="mov", codec="prores_ks", pixels="yuv422p10le"), r"send H\.264"),
    "20 million frames in a table": (lambda: so_many_samples(20_000_000), TOO_LARGE),
    "20 million frames in a fragment": (lambda: so_many_in_a_fragment(20_000_000), TOO_LARGE),
    "2 GB packed by zlib": (lambda: packed_mkv(0, b"", ZEROS, b"\1"), TOO_LARGE),
    "1 GB of beginnings": (lambda: packed_mkv(3, bytes(4_000_000), b"ab", b"\1"), TOO_LARGE),
    "500 streams": (lambda: many_streams(500, video_of(count=2), "matroska"), "cannot be decoded"),
    "20 streams of 8K": (
        lambda: many_streams(20, video_of(size=(7680, 4320), count=1, preset="ultrafast"), "mp4"),
        "7680 x 4320",
    ),
}


def ask(worker: Worker, *parts: dict[str, Any]) -> httpx.Response:
    body = {"model": "m", "messages": [user(*parts)], "max_tokens": 8, "temperature": 0}
    return worker.http.post("/v1/chat/completions", json=body, timeout=60)


def refusal(worker: Worker, *parts: dict[str, Any]) -> str:
    """The worker takes no memory worth speaking of, nor do those that it starts, and it names no address."""
    before = worker.status().memory.footprint_bytes
    with ThreadPoolExecutor() as threads:
        asked = threads.submit(ask, worker, *parts)
        most = 0
        while not asked.done():
            most = max(most, of_children(worker))
            wait([asked], 0.01)
    answer = asked.result()
    assert answer.status_code == 400
    message: str = answer.json()["error"]["message"]
    assert "0x" not in message
    assert "/" not in message
    memory = worker.status().memory
    assert max(memory.footprint_bytes, memory.peak_bytes) < before + MOST_BYTES
    assert most < MOST_OF_A_CHILD
    return message


def of_children(worker: Worker) -> int:
    children = psutil.Process(worker.process.pid).children(recursive=True)
    return sum(resident_bytes(child.pid) for child in children)


@pytest.mark.parametrize("what", HOSTILE)
def test_it_is_refused_and_takes_no_memory(seer: Worker, what: str) -> None:
    make, expected = HOSTILE[what]
    message = refusal(seer, video(make()), COLOUR)
    assert message.startswith("video 1: ")
    assert re.search(expected, message)


def test_afterwards_it_still_sees(seer: Worker) -> None:
    assert said(seer, user(video(video_of("green")), COLOUR)) == "green"


HOSTILE_SOUNDS: dict[str, tuple[Callable[[], bytes], str]] = {
    "half a minute and more": (lambda: sound_of(30.1), "it is longer than 30 s"),
    "a video without any": (video_of, "there is no sound in it"),
    "text": (lambda: b"Hello.", "it is no wav"),
    "20 million samples in a table": (lambda: so_many_samples(20_000_000), TOO_LARGE),
    "2 GB packed by zlib": (lambda: packed_mkv(0, b"", ZEROS, b"\2"), TOO_LARGE),
}


@pytest.mark.parametrize("what", HOSTILE_SOUNDS)
def test_such_a_sound_is_refused_and_takes_no_memory(listener: Worker, what: str) -> None:
    make, expected = HOSTILE_SOUNDS[what]
    message = refusal(listener, sound(make()), ASKED)
    assert message.startswith("audio 1: ")
    assert re.search(expected, message)


@pytest.mark.parametrize(
    "data", [sound_of(0.001), sound_of(1, channels=8), float_wav(float("nan")), float_wav(1e30)]
)
def test_strange_sounds_end_no_worker(listener: Worker, data: bytes) -> None:
    assert ask(listener, sound(data), ASKED).status_code in (200, 400)
    assert ask(listener, ASKED).status_code == 200


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("data:video/mp4;base64,not base64!", "its base64 is not valid"),
        ("data:video/mp4,plain", "must be a data: URI with base64"),
        ("file:///etc/passwd", "must be a data: URI with base64"),
        ("https://example.com/cat.mp4", "fetch_images"),
    ],
)
def test_where_a_video_may_come_from(seer: Worker, url: str, expected: str) -> None:
    answer = ask(seer, {"type": "video_url", "video_url": {"url": url}}, COLOUR)
    assert answer.status_code == 400
    assert expected in answer.json()["error"]["message"]


def test_so_many_videos_and_sounds(listener: Worker) -> None:
    assert "100 videos. At most 4" in refusal(listener, *[video(b"")] * 100)
    assert "5 sounds. At most 4" in refusal(listener, *[sound(b"x")] * 5)


def test_others_are_answered_while_one_is_decoded(seer: Worker) -> None:
    large = video_of("blue", (1920, 1080), 400, preset="ultrafast")
    with ThreadPoolExecutor() as threads:
        watching = threads.submit(ask, seer, video(large), COLOUR)
        assert said(seer, {"role": "user", "content": "ping"}) == "pong"
        assert not watching.done()
    assert watching.result().json()["choices"][0]["message"]["content"] == "blue"


@pytest.mark.parametrize(("size", "count"), [((2, 2), 1), ((16, 4096), 4), ((66, 34), 5)])
def test_strange_shapes_end_no_worker(seer: Worker, size: tuple[int, int], count: int) -> None:
    assert ask(seer, video(video_of(size=size, count=count)), COLOUR).status_code in (200, 400)
    assert seer.http.get("/livez").status_code == 200


@pytest.mark.parametrize(
    ("degrees", "matrix", "corner"),
    [
        (0, (1, 0, 0, 1), (0, 0)),
        (90, (0, 1, -1, 0), (0, 1)),
        (180, (-1, 0, 0, -1), (1, 1)),
        (270, (0, -1, 1, 0), (1, 0)),
    ],
)
def test_what_a_telephone_took_is_upright(
    degrees: int, matrix: tuple[int, int, int, int], corner: tuple[int, int]
) -> None:
    """Its first corner is the bright one."""
    a, b, c, d = (number % 2**16 << 16 for number in matrix)
    turned = changed(corner_video(), b"tkhd", 48, a, b, 0, c, d)
    frame = decode_video(turned, CHOICE, "video 1").frames[0]
    assert frame.shape[1:] == ((64, 48) if degrees in (90, 270) else (48, 64))
    rows, columns = frame.shape[1] // 2, frame.shape[2] // 2
    brightest = [
        frame[:, y * rows :, x * columns :][:, :rows, :columns].mean() for y in (0, 1) for x in (0, 1)
    ]
    assert divmod(int(np.argmax(brightest)), 2) == corner


@pytest.mark.parametrize(("count", "rate"), [(481, 4), (7_200, 100)])
def test_a_video_is_as_long_as_that_and_no_longer(count: int, rate: int) -> None:
    def frames(count: int) -> int:
        sent = video_of(size=(16, 16), count=count, rate=rate, codec="mpeg4")
        return decode_video(sent, CHOICE, "video 1").total

    assert frames(count) == count
    with pytest.raises(InvalidRequest, match="video 1: it is longer than 120 s or 7,200 frames"):
        frames(count + 1)


@pytest.mark.parametrize("codec", [("webm", "libvpx"), ("webm", "libvpx-vp9"), ("mp4", "libx265")])
def test_what_others_write_is_decoded(codec: tuple[str, str]) -> None:
    form, name = codec
    decoded = decode_video(video_of("blue", form=form, codec=name), CHOICE, "video 1")
    assert (decoded.frames.shape, decoded.total) == ((4, 3, 48, 64), 8)
    assert decoded.frames[0, :, 24, 32].argmax() == 2


def test_who_has_left_is_not_decoded_for() -> None:
    with pytest.raises(InvalidRequest, match="nobody waits for it any more"):
        while_wanted(lambda: False, lambda sent: decode_video(sent, CHOICE, "video 1"), video_of())


def test_a_file_whose_end_is_lost_has_as_many_frames_as_were_asked_for() -> None:
    """Of pieces of a second each."""
    whole = video_of(count=40, muxer={"movflags": "frag_keyframe+empty_moov"}, g="4")
    decoded = decode_video(whole[: len(whole) * 2 // 3], CHOICE, "video 1")
    assert decoded.frames.shape[0] == len(decoded.places) == 8
