"""Intake for the doctor: in a program of its own, each model within a limit."""

from pathlib import Path

from mlxhub.demo import model_directory
from mlxhub.registry.intake_probe import Candidate, Refusal, refusals
from tests.registry.models import demo_copy, say


def test_each_model_is_told_apart(tmp_path: Path) -> None:
    hostile = demo_copy(tmp_path / "hostile")
    (hostile / "x.py").touch()
    say(hostile, "config.json", auto_map={})
    good, refused = Candidate(str(model_directory())), Candidate(str(hostile))
    trusted, absent = Candidate(str(hostile), trust_remote_code=True), Candidate("/nowhere")
    found = refusals([good, refused, trusted, absent, good], 20)
    assert (found[good], found[trusted]) == (None, None)
    assert found[refused] is not None
    assert found[refused].what == "x.py would be run as code"
    assert "trust_remote_code: true" in found[refused].remedy
    assert found[absent] == Refusal(
        "its model_path is not a directory", "Correct it in hub.yaml, or attach the disk"
    )


def test_none_need_no_program() -> None:
    assert refusals([], 1) == {}


def test_one_that_does_not_end_in_time_is_said() -> None:
    good = Candidate(str(model_directory()))
    assert refusals([good], 0.01) == {
        good: Refusal("checking its files did not end within 0.01 s", "Try again")
    }
