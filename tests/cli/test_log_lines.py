"""Logs on a terminal."""

from itertools import pairwise

from click import unstyle
from hypothesis import given
from hypothesis import strategies as st

from mlxhub.cli.log_lines import LogLines

ENTRY = "2026-11-27T06:00:23.260+00:00 WARNING - Model “a”: slow\n"


def test_the_level_is_coloured_and_the_text_is_as_written() -> None:
    shown = LogLines().shown(ENTRY.encode())
    assert "\x1b[33mWARNING\x1b[0m" in shown
    assert unstyle(shown) == ENTRY


def test_a_line_that_only_looks_like_an_entry_further_on_is_not_coloured() -> None:
    assert LogLines().shown(b"x y ERROR z\n") == "x y ERROR z\n"


def test_escapes_in_a_log_are_text() -> None:
    assert LogLines().shown(b"\x1b]0;owned\x07\r\n") == "\\x1b]0;owned\\x07\\r\n"


@given(st.lists(st.integers(0, 60), max_size=6))
def test_whatever_the_pieces_the_text_is_the_same(cuts: list[int]) -> None:
    data = (ENTRY + "    | at é\n").encode()
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    lines = LogLines()
    shown = "".join(lines.shown(data[start:end]) for start, end in pairwise(places))
    assert unstyle(shown) == data.decode()
