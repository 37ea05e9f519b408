"""A model is added to hub.yaml, taken out and put back, and no other line changes."""

import difflib

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mlxhub.core.hub_edit import NotEditable, with_model, with_model_again, without_model

ENTRY = {"name": "new", "model_path": "org/New-4bit"}

WRITTEN = {
    "as init writes it": """\
port: 8000   # here

models:
  # a demo
  - name: demo
    model_path: builtin:demo

  # an example
  # - name: other
  #   model_path: org/other
""",
    "nothing below": "port: 8000\nmodels:\n",
    "no models": "port: 8000\n",
    "only a comment": "# nothing yet\nport: 1\n",
    "an empty list": "models: []   # none\nport: 8000\n",
    "each in braces": """\
models:
- {name: a, model_path: x}   # first
- {name: b, model_path: y}
# the end
""",
    "in the middle": """\
models:
    - name: a
      model_path: x
      aliases:
        - one
        - two

groups: []
""",
    "a folded text": "models:\n  - name: a\n    model_path: >-\n      x\n\n# later\nport: 1\n",
    "without a last line break": "models:\n  - name: a\n    model_path: x",
    "quotes": 'models:\n  - "name": \'a\'\n    model_path: "x: y"\nport: 1\n',
}


def said(text: str) -> object:
    return yaml.safe_load(text)


def changed_lines(before: str, after: str) -> tuple[list[str], list[str]]:
    """What went, and what came."""
    lines = list(difflib.ndiff(before.splitlines(), after.splitlines()))
    gone = [line[2:] for line in lines if line.startswith("- ")]
    return gone, [line[2:] for line in lines if line.startswith("+ ")]


@pytest.mark.parametrize("text", WRITTEN.values(), ids=WRITTEN)
def test_a_model_is_added_at_the_end_of_the_others(text: str) -> None:
    after = with_model(text, ENTRY, "a new one")
    value = said(after)
    assert isinstance(value, dict)
    assert value["models"][-1] == ENTRY
    gone, came = changed_lines(text, after)
    assert [line for line in gone if "[]" not in line] == []
    assert [line.strip() for line in came][-3:] == ["# a new one", "- name: new", "model_path: org/New-4bit"]


@pytest.mark.parametrize("text", [text for text in WRITTEN.values() if "name" in text and "- " in text])
def test_one_that_is_taken_out_is_a_comment_and_can_be_put_back(text: str) -> None:
    value = said(text)
    assert isinstance(value, dict)
    name = value["models"][0]["name"]
    without = without_model(text, name)
    left = said(without)
    assert isinstance(left, dict)
    assert [model["name"] for model in left["models"] or []] == [m["name"] for m in value["models"][1:]]
    again = with_model_again(without, name)
    assert again is not None
    assert said(again) == value


def test_the_entry_of_another_is_not_put_back() -> None:
    text = "models:\n  # - name: a\n  #   model_path: x\n  - name: b\n    model_path: y\n"
    assert with_model_again(text, "c") is None
    again = with_model_again(text, "a")
    assert again == "models:\n  - name: a\n    model_path: x\n  - name: b\n    model_path: y\n"


@pytest.mark.parametrize(
    "text",
    ["models: [{name: a, model_path: x}]\n", "models: {a: b}\n", "- a\n", "{models: []}\n", "models: [\n",
     "x: &x {name: a, model_path: x}\nmodels:\n  - *x\nport: 1\n"],
)  # fmt: skip
def test_what_only_a_person_can_edit_is_left_alone(text: str) -> None:
    with pytest.raises(NotEditable):
        with_model(text, ENTRY, "a new one")


def test_one_that_is_not_there_cannot_be_taken_out() -> None:
    with pytest.raises(KeyError):
        without_model(WRITTEN["quotes"], "b")


@given(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"]), min_size=1, max_size=40))
def test_any_path_is_what_it_was(path: str) -> None:
    after = with_model("models:\n", {"name": "new", "model_path": path}, "c")
    value = said(after)
    assert isinstance(value, dict)
    assert value["models"] == [{"name": "new", "model_path": path}]
