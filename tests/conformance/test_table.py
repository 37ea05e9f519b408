"""Nothing uncertain is forgotten: the stand-in, the scenarios and the document know the same ids."""

from collections import Counter
from dataclasses import fields
from pathlib import Path

import pytest

from mlxhub.standin.variation import Variation
from tests.conformance.answers import Answers, Recorded, answer_text, load, save
from tests.conformance.catalogue import SCENARIOS
from tests.conformance.measured import DOCUMENT, render, rows_of
from tests.conformance.uncertain import UNCERTAIN


def test_each_uncertain_behaviour_is_asked_for_once_or_by_hand() -> None:
    asked = Counter(name for each in SCENARIOS for name in each.measures)
    assert {name for name, count in asked.items() if count > 1} == set()
    assert asked.keys() == {name for name, each in UNCERTAIN.items() if not each.by_hand}


def test_what_the_stand_in_draws_is_in_the_table() -> None:
    drawn = {
        each.name: [answer_text(answer) for answer in each.metadata["answers"]]
        for each in fields(Variation)
        if each.name != "seed"
    }
    assert drawn.keys() <= UNCERTAIN.keys()
    unknown = {name: set(answers) - set(UNCERTAIN[name].answers) for name, answers in drawn.items()}
    assert {name: answers for name, answers in unknown.items() if answers} == {}
    assert {name: answers[0] for name, answers in drawn.items()} == {
        name: UNCERTAIN[name].answers[0] for name in drawn
    }


def test_the_document_has_a_row_for_each() -> None:
    written = rows_of(DOCUMENT.read_text())
    assert written.keys() == UNCERTAIN.keys()
    rendered = rows_of(render({}, ""))
    assert {name: cells[:3] for name, cells in written.items()} == {
        name: cells[:3] for name, cells in rendered.items()
    }, "python -m tests.conformance.measured writes the document anew"


def test_every_number_of_the_catalogue_is_there_once() -> None:
    assert [each.number for each in SCENARIOS] == list(range(1, 47))


def test_a_recorded_answer_gets_into_the_document(tmp_path: Path) -> None:
    save(tmp_path / "seen.json", {"loaded_twice": Recorded("37", 6)})
    rows = rows_of(render(load(tmp_path / "seen.json"), "26.1"))
    assert rows["loaded_twice"][-3:] == ["6", "26.1", "37"]
    assert rows["bad_permissions"][-2:] == ["", "not measured"]


@pytest.mark.parametrize(
    ("behaviour", "answer", "complaint"),
    [
        ("loaded_twice", 4, "never reported"),
        ("loaded_twice", 37, "the seed drew 5"),
        ("bad_permissions", 5, "does not say"),
    ],
)
def test_a_wrong_answer_fails(behaviour: str, answer: int, complaint: str) -> None:
    answers = Answers(["loaded_twice"], {"loaded_twice": "5"})
    with pytest.raises(AssertionError, match=complaint):
        answers.take(behaviour, answer)
