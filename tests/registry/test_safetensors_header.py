"""Attack line A39, weights: a header that lies about its file never reaches MLX."""

import io
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxhub.demo import model_directory
from mlxhub.registry.safetensors_header import MAX_HEADER_BYTES, MAX_TENSORS, header_fault
from tests.registry.models import safetensors, why_refused


def fault(header: Any, data: bytes = b"") -> str | None:
    return header_fault(io.BytesIO(safetensors(header, data)))


def tensor(begin: Any, end: Any, shape: Any = None, dtype: Any = "U8") -> dict[str, Any]:
    return {"dtype": dtype, "shape": [end - begin] if shape is None else shape, "data_offsets": [begin, end]}


def test_headers_as_they_must_be() -> None:
    assert fault({"a": tensor(0, 4), "b": tensor(4, 6)}, b"x" * 6) is None
    assert fault({"b": tensor(4, 6), "a": tensor(0, 4)}, b"x" * 6) is None, "in any order"
    assert fault({"__metadata__": {"format": "mlx"}, "a": tensor(0, 8, [2, 1], "F32")}, b"x" * 8) is None
    assert fault({"__metadata__": None, "a": tensor(0, 2, [], "BF16")}, b"xx") is None, "as MLX writes it"
    assert fault({"empty": tensor(0, 0, [0, 5], "F32"), "a": tensor(0, 3, [6], "F4")}, b"xxx") is None
    assert fault(b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}   ', b"x") is None, "padded"


OVERLAP = "its tensors overlap, or leave gaps"
NO_HEADER = "its header is not that of a safetensors file"
SHAPE = "it has a tensor whose shape and bytes differ"
BEYOND = "its header speaks of more than any file has"


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ({"a": tensor(0, 4), "b": tensor(2, 6)}, OVERLAP),
        ({"a": tensor(0, 4), "b": tensor(0, 4), "c": tensor(4, 6)}, OVERLAP),
        ({"a": tensor(0, 2), "b": tensor(4, 6)}, OVERLAP),
        ({"a": tensor(2, 6)}, OVERLAP),
        ({"a": tensor(0, 5)}, "its tensors have 6 bytes, its header speaks of 5"),
        ({"a": tensor(0, 7)}, "its tensors have 6 bytes, its header speaks of 7"),
        ({}, "its tensors have 6 bytes, its header speaks of 0"),
        ({"a": tensor(0, 6, [7])}, SHAPE),
        ({"a": tensor(0, 6, [2, 2])}, SHAPE),
        ({"a": tensor(0, 6, [6], "F16")}, SHAPE),
        ({"a": tensor(6, 0, [6])}, SHAPE),
        ({"a": tensor(0, 6, [-2, -3])}, BEYOND),
        ({"a": tensor(-6, 0, [6])}, BEYOND),
        ({"a": tensor(0, 2**63, [2**63])}, BEYOND),
        ({"a": tensor(0, 6, [2**61, 0])}, BEYOND),
        ({"a": tensor(0, 6, dtype="F128")}, "it has a tensor of unknown type"),
        ({"a": tensor(0, 6, dtype=["U8"])}, NO_HEADER),
        ({"a": tensor(0, 6, [1] * 33)}, NO_HEADER),
        ({"a": tensor(0, 6, [6.0])}, NO_HEADER),
        ({"a": tensor(0, True, [1])}, NO_HEADER),
        ({"a": tensor(0, 6, "6")}, NO_HEADER),
        ({"a": {"dtype": "U8", "shape": [6], "data_offsets": [0, 6, 6]}}, NO_HEADER),
        ({"a": {"dtype": "U8", "shape": [6]}}, NO_HEADER),
        ({"a": {**tensor(0, 6), "file": "/etc/passwd"}}, NO_HEADER),
        ({"a": 5}, NO_HEADER),
        ([], NO_HEADER),
        ({"__metadata__": {"a": 5}, "b": tensor(0, 6)}, NO_HEADER),
        ({"__metadata__": "x", "b": tensor(0, 6)}, NO_HEADER),
        (b"", NO_HEADER),
        (b"{", NO_HEADER),
        (b"\xff\xfe{}", NO_HEADER),
        (json.dumps({"a": tensor(0, 6)}).encode("utf-16"), NO_HEADER),
        (b'{"a":{"dtype":"U8","shape":[6],"data_offsets":[0,6]},"a":{}}', NO_HEADER),
        (b'{"a":{"dtype":"U8","shape":[6],"shape":[6],"data_offsets":[0,6]}}', NO_HEADER),
        (b'{"a":{"dtype":"U8","shape":[NaN],"data_offsets":[0,6]}}', NO_HEADER),
        (b"[" * 100_000, NO_HEADER),
    ],
    ids=lambda value: str(value)[:50],
)
def test_a39_a_header_that_lies_is_refused(header: Any, why: str) -> None:
    assert fault(header, b"x" * 6) == why


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 100, 3])
def test_a39_a_header_longer_than_its_file_is_refused_unread(length: int) -> None:
    content = length.to_bytes(8, "little") + b"{}"
    assert header_fault(io.BytesIO(content)) == "its header is longer than the file, or than any"


@pytest.mark.parametrize("content", [b"", b"1234567"])
def test_a39_a_file_shorter_than_any_header_is_refused(content: bytes) -> None:
    assert header_fault(io.BytesIO(content)) == "it is shorter than its header"


def test_a39_a_header_longer_than_any_is_refused_unread(tmp_path: Path) -> None:
    file = tmp_path / "x"
    with file.open("wb") as opened:
        opened.write((MAX_HEADER_BYTES + 1).to_bytes(8, "little"))
        opened.truncate(MAX_HEADER_BYTES + 100)
    with file.open("rb") as opened:
        assert header_fault(opened) == "its header is longer than the file, or than any"


@pytest.mark.parametrize(
    "header",
    [
        b"{" + b",".join([b'"":{}'] * (MAX_TENSORS + 2)) + b"}",
        b'{"":[' + b",".join([b"[]"] * 2 * MAX_TENSORS) + b"]}",
        b"{" + b",".join([b'"":1'] * (5 * MAX_TENSORS + 1)) + b"}",
    ],
    ids=["tensors", "lists", "names"],
)
def test_a39_a_header_of_millions_is_refused_unread(header: bytes) -> None:
    began = time.monotonic()
    assert fault(header) == f"its header speaks of more than {MAX_TENSORS} tensors"
    assert time.monotonic() - began < 1


def test_a39_weights_are_named_by_their_place_in_the_model(model: Path) -> None:
    (model / "sub").mkdir()
    (model / "sub" / "x.safetensors").write_bytes(safetensors({"a": tensor(0, 5)}))
    assert why_refused(model).startswith("sub/x.safetensors is damaged: its tensors have 0 bytes")


DEMO = (model_directory() / "model.safetensors").read_bytes()
HEADER_END = 8 + int.from_bytes(DEMO[:8], "little")


@given(
    st.lists(st.tuples(st.integers(0, HEADER_END - 1), st.integers(0, 255)), min_size=1, max_size=8),
    st.none() | st.integers(0, len(DEMO)),
)
def test_whatever_is_flipped_in_a_header_it_passes_or_is_refused(
    flips: list[tuple[int, int]], cut: int | None
) -> None:
    content = bytearray(DEMO)
    for place, byte in flips:
        content[place] = byte
    assert isinstance(header_fault(io.BytesIO(bytes(content[:cut]))), str | None)


@given(st.lists(st.integers(0, 40), max_size=20), st.randoms())
def test_every_header_that_tiles_its_file_passes_and_none_that_is_a_byte_off(
    sizes: list[int], random: Any
) -> None:
    header, at = {}, 0
    for number, size in enumerate(sizes):
        header[str(number)] = tensor(at, at + size)
        at += size
    shuffled = dict(random.sample(sorted(header.items()), len(header)))
    assert fault(shuffled, b"x" * at) is None
    assert fault(shuffled, b"x" * (at + 1)) is not None
