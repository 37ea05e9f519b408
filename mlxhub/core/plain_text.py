"""What others wrote, as text: it commands no terminal, forges no line, and turns no line around."""

# C0, DEL and C1: line breaks, tabs and what a terminal would obey; then Unicode's own line breaks, and
# what changes the direction of the text beside it.
_CONTROLS = (
    *range(0x20),
    *range(0x7F, 0xA0),
    *(0x2028, 0x2029),
    *(0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)),
)
_ESCAPES = {code: chr(code).encode("unicode_escape").decode() for code in _CONTROLS}
_LINES = _ESCAPES | {ord("\n"): "\n", ord("\t"): "\t"}


def one_line(text: str) -> str:
    """Control characters as Python writes them: a line break is a backslash and an n."""
    return text.translate(_ESCAPES)


def harmless(text: str) -> str:
    """As `one_line`, but lines and tabs stay."""
    return text.translate(_LINES)
