"""What a logged value can do to a log: nothing."""

from hypothesis import given
from hypothesis import strategies as st

from mlxhub.core.log_entry import MAX_CHARACTERS, as_entry
from mlxhub.core.plain_text import one_line


def test_a_line_break_in_a_value_is_written_as_two_characters() -> None:
    forged = "hello\n2026-11-20T10:00:00.000+0000 ERROR - forged\r\x1b]8;;\x07"
    assert one_line(forged) == "hello\\n2026-11-20T10:00:00.000+0000 ERROR - forged\\r\\x1b]8;;\\x07"


def test_a_traceback_stays_readable_and_marked() -> None:
    text = "10:00 ERROR it broke\nTraceback:\n  File x\nValueError: 10:00 ERROR forged\n"
    assert as_entry(text).splitlines() == [
        "10:00 ERROR it broke",
        "    | Traceback:",
        "    |   File x",
        "    | ValueError: 10:00 ERROR forged",
    ]


def test_a_text_without_end_is_cut() -> None:
    assert as_entry("x" * 1_000_000).endswith("x … (968000 characters more)\n")


def test_the_limit_holds_for_what_is_written_not_for_what_was_logged() -> None:
    entry = as_entry("\x1b" * 32_000)
    assert entry == "\\x1b" * 8_000 + " … (96000 characters more)\n"
    lines = as_entry("x\n" * 32_000)
    assert len(lines) < MAX_CHARACTERS + 40


@given(st.integers(0, 8))
def test_a_cut_that_goes_through_a_mark_leaves_no_line_without_one(characters: int) -> None:
    entry = as_entry("x" * (MAX_CHARACTERS - characters) + "\n" + "y" * 100)
    assert all(line.startswith("    | ") for line in entry.splitlines()[1:])


@given(st.text())
def test_every_line_after_the_first_is_marked(text: str) -> None:
    first, *rest = as_entry(text)[:-1].split("\n")
    assert all(line.startswith("    | ") for line in rest)
    assert len(first) <= MAX_CHARACTERS + 40
    assert as_entry(text)[:-1].splitlines() in ([first, *rest], [])
