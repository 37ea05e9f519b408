"""Nothing that others wrote commands a terminal."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from mlxhub.core.plain_text import harmless, one_line


def test_colours_bells_and_turned_text_are_spelt_out() -> None:
    assert harmless("a\x1b[31mb\x07\u202ec\n\td\r") == "a\\x1b[31mb\\x07\\u202ec\n\td\\r"
    assert one_line("a\nb\tc") == "a\\nb\\tc"


@given(st.text())
def test_no_control_character_is_left(text: str) -> None:
    left = {unicodedata.category(each) for each in harmless(text) if each not in "\n\t"}
    assert "Cc" not in left
    assert not {each for each in harmless(text) if unicodedata.bidirectional(each) in _TURNING}


@given(st.text(st.characters(exclude_categories=["C", "Z"])))
def test_plain_text_stays(text: str) -> None:
    assert harmless(text) == text


_TURNING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
