"""The attack lines against guard and protocol alone: cheap enough to be run again for every mutation."""

from pathlib import Path

import pytest

from tests.attacks.in_process import play
from tests.attacks.lines import LINES
from tests.attacks.place import Place, Program, ask
from tests.attacks.raw import exchange

ATTACKS = sorted({line.attack for line in LINES if not line.app})


@pytest.mark.parametrize("keys_required", [False, True], ids=["optional", "required"])
@pytest.mark.parametrize("program", Program)
@pytest.mark.parametrize("attack", ATTACKS)
def test_every_line_of_an_attack_is_refused(
    tmp_path: Path, attack: str, program: Program, keys_required: bool
) -> None:
    lines = [line for line in LINES if line.attack == attack and not line.app and program in line.programs]

    failed: list[str] = []

    def story(place: Place) -> None:
        """Up to the first that is not: of a guard that is broken one may be enough to know it."""
        for line in lines:
            try:
                line.play(place)
                require_good_request(place)
            except AssertionError as error:
                failed.append(f"{line.id}: {error}")
                break

    play(program, tmp_path, story, keys_required=keys_required)
    assert not failed, failed[0]


def require_good_request(place: Place) -> None:
    good = exchange(place.port, ask(place, "GET", place.secret, place.auth))
    assert good.answer.status == 200
