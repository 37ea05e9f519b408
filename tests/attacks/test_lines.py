"""Every attack line against the ports of a live hub."""

import pytest

from tests.attacks.conftest import Target
from tests.attacks.line import Line
from tests.attacks.lines import CASES, case_id
from tests.attacks.place import Program

# What has to do with keys is another matter where hub.yaml says `api_key: required`.
KEY_ATTACKS = ("A3", "A9", "A11", "A12", "A14")


@pytest.mark.parametrize(("program", "line"), CASES, ids=case_id)
def test_a_line_is_refused(open_targets: dict[Program, Target], program: Program, line: Line) -> None:
    open_targets[program].play(line)


@pytest.mark.parametrize(
    ("program", "line"), [case for case in CASES if case[1].attack in KEY_ATTACKS], ids=case_id
)
def test_a_line_is_refused_where_v1_needs_a_key(
    locked_targets: dict[Program, Target], program: Program, line: Line
) -> None:
    locked_targets[program].play(line)
