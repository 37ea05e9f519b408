"""One entry of a log: a line, and below it, marked, what belongs to it. No logged value can forge another."""

from mlxhub.core.plain_text import one_line

MAX_CHARACTERS = 32_000
_MARK = "    | "


def as_entry(text: str) -> str:
    """Several lines (a traceback) become one line and marked ones; a text without end is cut."""
    first, *rest = text.rstrip("\n").split("\n")
    return _cut("\n".join([one_line(first), *(_MARK + one_line(line) for line in rest)])) + "\n"


def _cut(entry: str) -> str:
    """As it is written: one character of a text can become six, and a line its mark more."""
    if len(entry) <= MAX_CHARACTERS:
        return entry
    kept = entry[:MAX_CHARACTERS]
    before, _, last = kept.rpartition("\n")
    if before and not last.startswith(_MARK):  # the cut went through a mark
        kept = before
    return f"{kept} … ({len(entry) - len(kept)} characters more)"
