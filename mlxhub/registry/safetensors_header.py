"""The header of a safetensors file, checked before MLX maps what it speaks of."""

import json
from collections import defaultdict
from collections.abc import Mapping
from math import prod
from typing import BinaryIO

from mlxhub.registry.model_files import ModelFile
from mlxhub.registry.refused import DOWNLOAD_AGAIN, IntakeRefused

MAX_HEADER_BYTES = 100_000_000
MAX_TENSORS = 2**20
_MOST_SIGNS = {b"{": MAX_TENSORS + 2, b"[": 2 * MAX_TENSORS, b":": 5 * MAX_TENSORS}
_MAX_DIMENSIONS = 32
_MAX_BYTES = 2**60
_BITS = {
    **dict.fromkeys(("F4",), 4),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
}
_NO_HEADER = "its header is not that of a safetensors file"
_TOO_MANY = f"its header speaks of more than {MAX_TENSORS} tensors"


def check_weights(file: ModelFile) -> Mapping[str, int]:
    """Bytes of its tensors by their dtype. Raises IntakeRefused."""
    try:
        with file.path.open("rb") as opened:
            found = read_header(opened)
    except OSError as error:
        raise IntakeRefused(f"{file.name} cannot be read: {error.strerror}", "Correct its rights") from None
    if isinstance(found, str):
        raise IntakeRefused(f"{file.name} is damaged: {found}", DOWNLOAD_AGAIN)
    return found


def header_fault(opened: BinaryIO) -> str | None:
    found = read_header(opened)
    return found if isinstance(found, str) else None


def read_header(opened: BinaryIO) -> Mapping[str, int] | str:
    """Bytes by dtype, or what is wrong with it.

    8 bytes of header length, the header as JSON, then exactly the bytes it speaks of.
    """
    size = opened.seek(0, 2)
    opened.seek(0)
    first = opened.read(8)
    if len(first) < 8:
        return "it is shorter than its header"
    length = int.from_bytes(first, "little")
    if length > MAX_HEADER_BYTES or length > size - 8:
        return "its header is longer than the file, or than any"
    raw = opened.read(length)
    # Before parsing, which takes a gigabyte for a million. Brackets and colons within names count as well.
    if any(raw.count(sign) > most for sign, most in _MOST_SIGNS.items()):
        return _TOO_MANY
    try:
        header = json.loads(raw.decode(), object_pairs_hook=_without_doubles, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return _NO_HEADER
    return _content(header, size - 8 - length) if isinstance(header, dict) else _NO_HEADER


def _content(header: dict[str, object], data_bytes: int) -> Mapping[str, int] | str:
    # MLX writes null where it has nothing to say.
    metadata = header.pop("__metadata__", None) or {}
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        return _NO_HEADER
    if len(header) > MAX_TENSORS:
        return _TOO_MANY
    ranges = []
    bytes_of: defaultdict[str, int] = defaultdict(int)
    for entry in header.values():
        place = _place(entry)
        if isinstance(place, str):
            return place
        dtype, begin, end = place
        ranges.append((begin, end))
        bytes_of[dtype] += end - begin
    at = 0
    for begin, end in sorted(ranges):
        if begin != at:
            return "its tensors overlap, or leave gaps"
        at = end
    return bytes_of if at == data_bytes else f"its tensors have {data_bytes} bytes, its header speaks of {at}"


def _place(entry: object) -> tuple[str, int, int] | str:
    """The dtype of one tensor, where it begins and ends, or what is wrong with it."""
    match entry:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [begin, end], **rest} if not rest:
            pass
        case _:
            return _NO_HEADER
    if dtype not in _BITS:
        return "it has a tensor of unknown type"
    # bool is an int, and 1.0 equals 1.
    numbers = [*shape, begin, end]
    if len(shape) > _MAX_DIMENSIONS or any(type(each) is not int for each in numbers):
        return _NO_HEADER
    if any(not 0 <= each <= _MAX_BYTES for each in numbers):
        return "its header speaks of more than any file has"
    if prod(shape) * _BITS[dtype] != 8 * (end - begin):
        return "it has a tensor whose shape and bytes differ"
    return dtype, begin, end


def _without_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Of two entries of the same name MLX and this check might believe different ones."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(name)
