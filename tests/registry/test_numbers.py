"""Attack line A39, JSON: numbers that would exhaust the machine, and text that would exhaust its reader."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxhub.core.model_type import ModelType
from mlxhub.registry.model_files import ModelFile
from mlxhub.registry.refused import IntakeRefused
from mlxhub.registry.settings import check_family, check_numbers, check_settings
from tests.registry.models import say, why_refused


@pytest.mark.parametrize(
    "said",
    [
        {"vocab_size": 2**40},
        {"num_hidden_layers": 10**9},
        {"n_layer": 10**6},
        {"hidden_size": 10**12},
        {"num_attention_heads": 10**9},
        {"num_experts": 10**9},
        {"head_dim": -(10**9)},
        {"max_position_embeddings": 10**15},
        {"text_config": {"vocab_size": 2**40}},
        {"vision_config": [{"num_hidden_layers": 10**9}]},
        {"layers": [4, 10**9]},
        {"vocab_size": 1e300},
        {"anything": 2**63},
        {"anything": -(10**400)},
        {"vocab_size": 10**4000},
    ],
    ids=str,
)
def test_a39_numbers_that_no_model_has_are_refused(model: Path, said: dict[str, Any]) -> None:
    say(model, "config.json", **said)
    assert "more than any model has" in why_refused(model)


@pytest.mark.parametrize(
    "text",
    [
        '"rope_theta": NaN',
        '"rope_theta": Infinity',
        '"rope_theta": -Infinity',
        '"rope_theta": 1e999',
        '"rope_theta": {"__float__": "NaN"}',
        '"time_step_limit": [0, NaN]',
        '"time_step_limit": [-Infinity, 0]',
        '"text_config": {"": NaN}',
        '"text_config": {"x\\u001b": NaN}',
    ],
)
def test_a39_what_is_no_number_is_refused(model: Path, text: str) -> None:
    before = (model / "config.json").read_text().rstrip().removesuffix("}")
    (model / "config.json").write_text(f"{before}, {text}}}")
    said = why_refused(model)
    assert "is not a finite number" in said
    assert said.isprintable()


@pytest.mark.parametrize("text", ["[]", "5", '"x"', "null"])
@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json", "model.safetensors.index.json"])
def test_settings_that_are_no_object_are_refused(model: Path, file: str, text: str) -> None:
    (model / file).write_text(text)
    assert f"{file} is no JSON object" in why_refused(model)


@pytest.mark.parametrize("text", [b"{", b"", b"{}x", b"\xef\xbb\xbf{}", b'{"a": ' + b"9" * 5000 + b"}"])
@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "vocab.json"])
def test_json_that_is_none_is_refused(model: Path, file: str, text: bytes) -> None:
    (model / file).write_bytes(text)
    assert f"{file} cannot be read: it is not JSON" in why_refused(model)


def test_json_that_is_no_text_is_refused(model: Path) -> None:
    (model / "extra.json").write_text("{}", encoding="utf-16")
    assert "extra.json is not UTF-8" in why_refused(model)


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "vocab.json"])
@pytest.mark.parametrize("levels", [33, 900, 1_000_000])
@pytest.mark.parametrize("around", ["[]", "{}"])
def test_a39_nesting_is_refused_and_does_not_end_the_process(
    model: Path, file: str, levels: int, around: str
) -> None:
    begin = "[" if around == "[]" else '{"a":'
    within = levels - 2
    (model / file).write_text('{"a": ' + begin * within + around + around[1] * within + "}")
    assert f"{file} is nested deeper than 32 levels" in why_refused(model)


def test_as_deep_as_is_allowed(model: Path) -> None:
    (model / "extra.json").write_text('{"a": ' + "[" * 31 + "]" * 31 + "}")
    (model / "more.json").write_text("[" * 32 + "]" * 32)
    (model / "scalar.json").write_text("5")
    (model / "config.json").write_text("[]")
    assert "config.json is no JSON object" in why_refused(model)


def test_a39_json_beyond_its_size_is_refused(model: Path) -> None:
    (model / "extra.json").write_text('"' + "a" * 32_000_000 + '"')
    assert "extra.json has more than 32 MB" in why_refused(model)
    (model / "extra.json").unlink()
    (model / "tokenizer.json").write_text('{"a": "' + "a" * 40_000_000 + '"}')
    with (model / "config.json").open("a") as config:
        config.write("x")
    assert "config.json cannot be read" in why_refused(model)  # the tokenizer comes later, and may be larger
    (model / "atokenizer.json").write_text('"' + "a" * 40_000_000 + '"')
    assert "atokenizer.json has more than 32 MB" in why_refused(model)


def test_a39_a_tokenizer_beyond_its_size_is_refused(model: Path) -> None:
    (model / "tokenizer.json").write_text('"' + "a" * 64_000_000 + '"')
    assert "tokenizer.json has more than 64 MB" in why_refused(model)


def test_a39_a_million_empty_lists_are_refused_unread(model: Path) -> None:
    (model / "tokenizer.json").write_text('{"a": [' + "[]," * 2_000_000 + "[]]}")
    assert "tokenizer.json has more than 2000000 lists and objects" in why_refused(model)


def test_a_file_that_may_not_be_read_is_said(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.open

    def refuse(self: Path, *args: Any, **kwargs: Any) -> Any:
        if self.name in ("vocab.json", "model.safetensors"):
            raise PermissionError(13, "Permission denied", str(self))
        return real(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse)
    assert "model.safetensors cannot be read: Permission denied" in why_refused(model)
    (model / "vocab.json").touch()
    assert "vocab.json cannot be read: Permission denied" in why_refused(model)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("../x"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["auto_map", "model_type", "vocab_size", "n_layer", "__float__", "configuration_files", ""]
            )
            | st.text(max_size=3),
            inner,
            max_size=3,
        )
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.text(max_size=3) | st.just("model_type"), VALUES), st.booleans())
def test_whatever_settings_say_they_pass_or_are_refused(said: dict[str, Any], trust: bool) -> None:
    said = json.loads(json.dumps(said))
    file = ModelFile("config.json", Path())
    try:
        check_settings(file, said, trust_remote_code=trust)
        check_numbers(file, said)
        check_family(said, ModelType.LM, trust_remote_code=trust)
    except IntakeRefused as refused:
        shown = str(refused)
    else:
        shown = ""
    assert shown.isprintable()
