"""Attack line A38: names and links that lead out of a model's directory, or into trouble."""

import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mlxhub.registry.model_files import MAX_ENTRIES, list_files, name_fault
from mlxhub.registry.refused import IntakeRefused
from tests.registry.models import say, why_refused


@pytest.mark.parametrize(
    "name",
    [
        "../../../.zshrc",
        "/etc/passwd",
        "a\x00b",
        "..",
        ".",
        "a/../b",
        "a/./b",
        "a//b",
        "",
        "a/",
        "a\\b",
        "a b",
        "é",
        "a\n",
        "C:x",
        "~",
        "$x",
        "a" + "/a" * 8,
    ],
)
def test_a38_names_that_no_file_may_have(name: str) -> None:
    assert name_fault(name) is not None


@pytest.mark.parametrize("name", ["config.json", ".gitattributes", "a/b/c.txt", "-x", "...", "a" + "/a" * 7])
def test_names_that_are_only_unusual(name: str) -> None:
    assert name_fault(name) is None


@pytest.mark.parametrize("name", ["a b.txt", "é.txt", "a\n.txt", "x\x1b[31m", "sub/$(x)"])
def test_a38_a_file_of_such_a_name_is_refused_and_shown_without_its_tricks(model: Path, name: str) -> None:
    (model / name).parent.mkdir(exist_ok=True)
    (model / name).touch()
    said = why_refused(model)
    assert "has a name of other characters" in said
    assert said.isprintable()


def test_a38_directories_have_names_too(model: Path) -> None:
    (model / "a b").mkdir()
    assert "has a name of other characters" in why_refused(model)


def test_a38_directories_end(model: Path) -> None:
    (model / "a/b/c/d/e/f/g").mkdir(parents=True)
    list_files(model)
    (model / "a/b/c/d/e/f/g/h").mkdir()
    list_files(model)
    (model / "a/b/c/d/e/f/g/h/i").mkdir()
    assert "lies deeper than 8 directories" in why_refused(model)


if sys.platform == "linux":  # a Mac's own disk keeps no two such names apart

    @pytest.mark.parametrize("other", ["CONFIG.json", "Config.JSON"])
    def test_a38_names_that_differ_in_case_only_are_refused(model: Path, other: str) -> None:
        (model / other).write_text("{}")
        assert "differ in upper and lower case only" in why_refused(model)


def test_a38_too_many_files_are_refused_without_counting_them_all(tmp_path: Path) -> None:
    for number in range(MAX_ENTRIES):
        (tmp_path / str(number)).touch()
    assert len(list_files(tmp_path)) == MAX_ENTRIES
    (tmp_path / "one-more").touch()
    with pytest.raises(IntakeRefused, match="more than 10000 files"):
        list_files(tmp_path)


@pytest.mark.parametrize("target", ["../secret.json", "/etc/passwd", "sub/../../secret.json", ".."])
@pytest.mark.parametrize("name", ["extra.json", "generation_config.json", "additional_chat_templates"])
def test_a38_links_that_lead_out_are_refused(model: Path, name: str, target: str) -> None:
    (model.parent / "secret.json").write_text('{"secret": "s3cret"}')
    (model / "sub").mkdir()
    (model / name).unlink(missing_ok=True)
    (model / name).symlink_to(target)
    said = why_refused(model)
    assert f"{name} is a link that leads out of the model's directory" in said
    assert "s3cret" not in said
    assert "leads out" in why_refused(model, trust_remote_code=True)


@pytest.mark.parametrize("target", ["nothing.json", "extra.json", ".", "sub"])
def test_a38_links_that_do_not_end_at_a_file_are_refused(model: Path, target: str) -> None:
    (model / "sub").mkdir()
    (model / "extra.json").symlink_to(target)
    assert "extra.json is a link that" in why_refused(model)


def test_a38_what_is_no_file_is_refused_without_being_opened(model: Path) -> None:
    began = time.monotonic()
    os.mkfifo(model / "generation_config2.json")
    assert "generation_config2.json is neither a file nor a directory" in why_refused(model)
    (model / "generation_config2.json").rename(model.parent / "pipe")
    (model / "a.txt").symlink_to("../pipe")
    assert "leads out" in why_refused(model)
    assert time.monotonic() - began < 5


def test_a38_a_socket_is_refused(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(model)  # such names have no room for where pytest puts its files
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s.json")
        assert "s.json is neither a file nor a directory" in why_refused(model)


@pytest.mark.parametrize(
    "shard",
    [
        "../../secret.safetensors",
        "/etc/passwd",
        "..",
        "sub/model.safetensors",
        "model-2.safetensors",
        5,
        "",
        "a\x00b",
    ],
)
def test_a38_an_index_that_names_what_is_not_there_is_refused(model: Path, shard: Any) -> None:
    (model / "sub").mkdir()
    (model / "sub" / "model.safetensors").write_bytes((model / "model.safetensors").read_bytes())
    say(model, "model.safetensors.index.json", weight_map={"a": "model.safetensors", "b": shard})
    assert "model.safetensors.index.json names" in why_refused(model)


@pytest.mark.parametrize("said", [{}, {"weight_map": ["model.safetensors"]}, {"weight_map": None}])
def test_an_index_without_a_map_is_refused(model: Path, said: dict[str, Any]) -> None:
    say(model, "model.safetensors.index.json", **said)
    assert "model.safetensors.index.json has no weight_map" in why_refused(model)


@pytest.mark.parametrize(
    ("file", "key"),
    [("tokenizer_config.json", "fast_tokenizer_files"), ("config.json", "configuration_files")],
)
@pytest.mark.parametrize("name", ["../secret/tokenizer.4.0.json", "/etc/passwd", "a/b.json", ".."])
def test_a38_files_for_other_versions_lie_in_the_directory(
    model: Path, file: str, key: str, name: str
) -> None:
    say(model, file, **{key: [name]})
    assert f'{file}: "{key}" names files outside the model\'s directory' in why_refused(model)
    say(model, file, **{key: name})
    assert "outside" in why_refused(model)


def test_what_is_no_directory_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in ("none", "file"):
        assert "its model_path is not a directory" in why_refused(tmp_path / place)


def test_what_has_no_config_is_said(model: Path) -> None:
    (model / "config.json").unlink()
    assert "has no config.json, so it is no model in MLX format" in why_refused(model)
