"""What a line typed into a conversation means."""

import pytest

from mlxhub.core.conversation import (
    Ask,
    Conversation,
    Exit,
    Help,
    Line,
    Reset,
    System,
    Unknown,
    is_open,
    meant,
)


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("", None),
        ("  \n", None),
        (" hello ", Ask("hello")),
        ("two\nlines", Ask("two\nlines")),
        ("/reset", Reset()),
        ("/system Speak French.", System("Speak French.")),
        ("/system", System(None)),
        ("/help", Help()),
        ("/exit", Exit()),
        ("/bye", Exit()),
        ("/etc/hosts?", Unknown("/etc/hosts?")),
        ('"""', None),
        ('"""/etc/hosts"""', Ask("/etc/hosts")),
        ('"""\nindented:\n    x\n"""', Ask("indented:\n    x")),
    ],
)
def test_a_line_means(typed: str, line: Line | None) -> None:
    assert meant(typed) == line


@pytest.mark.parametrize(
    ("typed", "still_open"),
    [
        ("hello", False),
        ('"""', True),
        ('"""a', True),
        ('"""a"""', False),
        ('"""a\n"""', False),
        ('""""', True),
    ],
)
def test_a_text_of_several_lines_is_open_until_its_end(typed: str, still_open: bool) -> None:
    assert is_open(typed) is still_open


def test_the_model_is_told_everything_that_was_said() -> None:
    conversation = Conversation("Be brief.").with_turn("a?", "a.")
    assert conversation.messages("b?") == [
        ("system", "Be brief."),
        ("user", "a?"),
        ("assistant", "a."),
        ("user", "b?"),
    ]


def test_a_reset_keeps_what_the_model_is_told_first() -> None:
    assert Conversation("Be brief.").with_turn("a?", "a.").reset() == Conversation("Be brief.")
