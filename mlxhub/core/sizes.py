"""Sizes as people write them: 48GB, 1.5GiB, and parts of a machine's memory: 75%, auto."""

import re

AUTO = "auto"
# What Metal may hold of the memory where nobody set a limit; reports vary between 0.67 and 0.84.
WIRED_BY_DEFAULT = 0.75
_SIZE = re.compile(r"(\d{1,9}(?:\.\d{1,9})?) ?([MGT]i?B)")
_SHARE = re.compile(r"(\d{1,3}(?:\.\d{1,9})?) ?%")
_UNITS = {"MB": 10**6, "GB": 10**9, "TB": 10**12, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


def parse_size(text: str) -> int:
    """In bytes. Raises ValueError."""
    found = _SIZE.fullmatch(text)
    size = 0 if found is None else int(float(found[1]) * _UNITS[found[2]])
    if size < 1:
        raise ValueError("must be a size such as 48GB or 900MB")
    return size


def parse_ceiling(text: str, total_bytes: int) -> int:
    """In bytes, of a machine with so much memory. Raises ValueError."""
    if text == AUTO:
        return int(total_bytes * WIRED_BY_DEFAULT)
    if found := _SHARE.fullmatch(text):
        share = float(found[1]) / 100
        if 0 < share <= 1:
            return int(total_bytes * share)
    elif _SIZE.fullmatch(text):
        return parse_size(text)
    raise ValueError("must be auto, a size such as 48GB, or a share such as 75%")
