"""All of them."""

from tests.attacks import lines_bodies, lines_http, lines_keys, lines_pages
from tests.attacks.line import Line
from tests.attacks.place import Program

LINES: tuple[Line, ...] = (*lines_pages.LINES, *lines_keys.LINES, *lines_http.LINES, *lines_bodies.LINES)
CASES: list[tuple[Program, Line]] = [(program, line) for line in LINES for program in line.programs]
assert len({line.id for line in LINES}) == len(LINES), "two lines of one name"


def case_id(case: object) -> str:
    return f"{case.id}" if isinstance(case, Line) else str(case)
