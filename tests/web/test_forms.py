"""Forms as clients send them, and more than is taken of them."""

import asyncio
import re
from typing import Any

import httpx
import pytest
from starlette.datastructures import Headers

from mlxhub.refusals import InvalidRequest
from mlxhub.web.forms import Form, read_form

FILES, FIELDS = 16, 64


def read(data: dict[str, Any] | None = None, files: list[tuple[str, Any]] | None = None) -> Form:
    """As httpx writes it, which makes a multipart form only where it has a file."""
    sent = httpx.Request("POST", "http://x", data=data, files=files or [("file", ("a", b"a"))])
    return read_as(sent.headers["content-type"], sent.read())


def read_as(content_type: str, body: bytes) -> Form:
    return asyncio.run(read_form(Headers({"content-type": content_type}), body))


def test_fields_and_files_by_their_names() -> None:
    form = read({"model": "m", "words[]": ["a", "b"]}, [("image[]", ("a.png", b"1")), ("image[]", b"2")])
    assert form.fields == {"model": ["m"], "words": ["a", "b"]}
    assert form.files == {"image": [b"1", b"2"]}


def test_a_form_has_so_many_files_and_fields_and_no_more() -> None:
    def fields(count: int) -> dict[str, str]:
        return {f"field{number}": "x" for number in range(count)}

    def files(count: int) -> list[tuple[str, Any]]:
        return [("file", (f"{number}", b"x")) for number in range(count)]

    form = read(fields(FIELDS), files(FILES))
    assert (len(form.fields), len(form.files["file"])) == (FIELDS, FILES)
    with pytest.raises(InvalidRequest, match="The body is not a valid form: Too many fields"):
        read(fields(FIELDS + 1))
    with pytest.raises(InvalidRequest, match="The body is not a valid form: Too many files"):
        read(files=files(FILES + 1))
    with pytest.raises(InvalidRequest, match="The body is not a valid form"):
        read({"prompt": "x" * 1_000_001})


def test_while_a_large_form_is_read_the_loop_goes_on() -> None:
    sent = httpx.Request("POST", "http://x", files=[("file", ("a", b"\r\n" * 5_000_000))])

    async def count() -> int:
        headers = Headers({"content-type": sent.headers["content-type"]})
        reading = asyncio.ensure_future(read_form(headers, sent.read()))
        turns = 0
        while not reading.done():
            await asyncio.sleep(0)
            turns += 1
        assert len((await reading).files["file"][0]) == 10_000_000
        return turns

    assert asyncio.run(count()) > 10


def test_a_large_file_stays_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_file(*_: object, **__: object) -> None:
        raise AssertionError("it went to disk")

    monkeypatch.setattr("tempfile.TemporaryFile", no_file)
    large = b"x" * 5_000_000
    assert read(files=[("file", ("a", large))]).files["file"] == [large]


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"--x--\r\n"),
        ("multipart/form-data; boundary=", b"--x--\r\n"),
        ("multipart/form-data; boundary=x", b"no form"),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\nno name\r\n--x--\r\n"),
    ],
)
def test_what_is_no_form_is_said_to_be_none(content_type: str, body: bytes) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_as(content_type, body)
    assert re.match(r"The body is not a valid form: .+\.$", str(refused.value))
