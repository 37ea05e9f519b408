"""Pictures that no model should see: each is one clear refusal, and takes no memory worth speaking of."""

import base64
import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from mlxhub.refusals import InvalidRequest
from mlxhub.worker.media.pictures import decode_picture
from tests.models.vision import cached_vision_model
from tests.worker.conftest import CACHE
from tests.worker.processes import Worker, running_worker
from tests.worker.test_vision import COLOUR, file_of, image, said, user

MOST_BYTES = 200_000_000


def encoded(picture: Image.Image, form: str, **options: Any) -> bytes:
    target = io.BytesIO()
    picture.save(target, form, **options)
    return target.getvalue()


def huge_png(width: int, height: int) -> bytes:
    """A few KB that unpack to so many pixels."""
    return encoded(Image.new("1", (width, height)), "PNG", optimize=True)


def lying_png(width: int, height: int) -> bytes:
    """The header says more than there is."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def frames(form: str, count: int) -> bytes:
    pictures = [Image.new("RGB", (4, 4), (number % 256, 0, 0)) for number in range(count)]
    return encoded(pictures[0], form, save_all=True, append_images=pictures[1:])


HOSTILE = {
    "81 million pixels": huge_png(9_000, 9_000),
    "169 million pixels": huge_png(13_000, 13_000),
    "a header of 2^31 pixels": lying_png(2**31 - 1, 1),
    "no pixels": lying_png(0, 5),
    "an animated PNG": encoded(
        Image.new("RGB", (4, 4)), "PNG", save_all=True, append_images=[Image.new("RGB", (4, 4), "red")]
    ),
    "a GIF of many frames": frames("GIF", 300),
    "a TIFF": frames("TIFF", 3),
    "a truncated JPEG": file_of("red", (500, 500), "JPEG")[:900],
    "JPEG2000": encoded(Image.new("RGB", (8, 8)), "JPEG2000"),
    "an SVG": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    "HTML that says it is a PNG": b"\x89PNG\r\n\x1a\n<html></html>",
    "nothing": b"",
    "EXIF that leads to itself": encoded(
        Image.new("RGB", (8, 8)), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0"
    )[:60],
}


@pytest.mark.parametrize("what", HOSTILE)
def test_it_is_refused_and_takes_no_memory(seer: Worker, what: str) -> None:
    before = seer.status().memory.footprint_bytes
    answer = seer.post(
        "/v1/chat/completions", {"model": "m", "messages": [user(image(HOSTILE[what]), COLOUR)]}
    )
    assert answer.status_code == 400
    message = answer.json()["error"]["message"]
    assert message.startswith("image 1: ")
    assert "0x" not in message
    assert "/" not in message
    memory = seer.status().memory
    assert memory.footprint_bytes < before + MOST_BYTES
    assert memory.peak_bytes < before + MOST_BYTES


def test_afterwards_it_still_sees(seer: Worker) -> None:
    assert said(seer, user(image(file_of("red")), COLOUR)) == "red"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("data:image/png;base64,not base64!", "its base64 is not valid"),
        ("data:image/png,plain", "must be a data: URI with base64"),
        ("/etc/passwd", "must be a data: URI with base64"),
        ("file:///etc/passwd", "must be a data: URI with base64"),
        ("https://example.com/cat.png", "fetch_images"),
        ("http://127.0.0.1:1/cat.png", "fetch_images"),
    ],
)
def test_where_a_picture_may_come_from(seer: Worker, url: str, expected: str) -> None:
    part = {"type": "image_url", "image_url": {"url": url}}
    answer = seer.post("/v1/chat/completions", {"model": "m", "messages": [user(part, COLOUR)]})
    assert answer.status_code == 400
    assert expected in answer.json()["error"]["message"]


def test_a_model_that_may_fetch_does_so_from_public_servers_only() -> None:
    part = {"type": "image_url", "image_url": {"url": "https://127.0.0.1/cat.png"}}
    with running_worker(model_path=str(cached_vision_model(CACHE)), fetch_images=True) as worker:
        answer = worker.post("/v1/chat/completions", {"model": "m", "messages": [user(part)]})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "url_refused"


def test_so_many_pictures(seer: Worker) -> None:
    small = image(file_of("red", (28, 28)))
    answer = seer.post("/v1/chat/completions", {"model": "m", "messages": [user(*[small] * 100)]})
    assert answer.status_code == 400
    assert "100 pictures. At most 16" in answer.json()["error"]["message"]


@pytest.mark.parametrize("kind", ["input_image", "audio_url", "file"])
def test_parts_that_no_model_here_takes(seer: Worker, kind: str) -> None:
    answer = seer.post("/v1/chat/completions", {"model": "m", "messages": [user({"type": kind, kind: {}})]})
    assert answer.status_code == 400
    told = f'this model reads text, image_url, video_url and input_audio, not "{kind}"'
    assert told in answer.json()["error"]["message"]


@pytest.mark.parametrize("size", [(1, 1), (3, 2000), (2000, 3)])
def test_shapes_that_processors_do_not_take(seer: Worker, size: tuple[int, int]) -> None:
    """Some do: then there is an answer, and never a worker that is gone."""
    answer = seer.post(
        "/v1/chat/completions",
        {"model": "m", "messages": [user(image(file_of("red", size)), COLOUR)], "max_tokens": 3},
    )
    assert answer.status_code in (200, 400)
    assert seer.http.get("/livez").status_code == 200


def test_a_large_photograph_is_made_smaller() -> None:
    """50 million pixels, as telephones take them."""
    photograph = encoded(Image.new("RGB", (8_000, 6_000), "blue"), "JPEG")
    picture = decode_picture(photograph, "image 1").image
    assert max(picture.size) <= 1536
    assert picture.getpixel((5, 5))[2] > 200  # type: ignore[index]


def jpeg_that_says(width: int, height: int, *, progressive: bool = False) -> bytes:
    """The sides stand behind the frame's marker, a length and the bits of a sample."""
    small = encoded(Image.new("RGB", (8, 8)), "JPEG", progressive=progressive)
    at = small.index(b"\xff\xc2" if progressive else b"\xff\xc0") + 5
    return small[:at] + struct.pack(">HH", height, width) + small[at + 4 :]


@pytest.mark.parametrize(
    ("within", "beyond", "most"),
    [
        (lambda: huge_png(6_000, 4_000), lambda: huge_png(6_000, 4_001), "24 million"),
        (lambda: jpeg_that_says(12_000, 10_000), lambda: jpeg_that_says(12_000, 10_001), "120 million"),
        (
            lambda: jpeg_that_says(6_000, 4_000, progressive=True),
            lambda: jpeg_that_says(6_000, 4_001, progressive=True),
            "24 million",
        ),
    ],
    ids=["png", "jpeg", "progressive jpeg"],
)
def test_as_many_pixels_are_decoded_and_no_more(
    within: Callable[[], bytes], beyond: Callable[[], bytes], most: str
) -> None:
    assert max(decode_picture(within(), "image 1").image.size) == 1536
    with pytest.raises(InvalidRequest, match=f"it has more than {most} pixels"):
        decode_picture(beyond(), "image 1")


@pytest.mark.parametrize("what", ["a TIFF", "JPEG2000", "an animated PNG", "a GIF of many frames"])
def test_what_decodes_and_is_refused_all_the_same(what: str) -> None:
    with pytest.raises(InvalidRequest, match=r"image 1: it (is animated|cannot be decoded)"):
        decode_picture(HOSTILE[what], "image 1")


def test_what_is_refused_names_its_parameter() -> None:
    with pytest.raises(InvalidRequest) as refused:
        decode_picture("data:image/png;base64," + base64.b64encode(b"x").decode(), "image", "image")
    assert refused.value.param == "image"
