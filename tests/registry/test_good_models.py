"""What is as it must be is let through."""

import json
import os
from pathlib import Path

import pytest

from mlxhub.core.model_type import ModelType
from mlxhub.demo import model_directory
from mlxhub.registry import architectures
from mlxhub.registry.intake import check_model
from tests.registry.models import demo_copy, say, why_refused


def test_the_demo_model_is_let_through() -> None:
    check_model(model_directory())


def snapshot(cache: Path, *, shared: bool = False) -> Path:
    """As huggingface_hub lays it out: links to blobs, which may be links to those of the whole cache."""
    repository = cache / "models--org--name"
    directory = repository / "snapshots" / "0123abc"
    (directory / "sub").mkdir(parents=True)
    (repository / "blobs").mkdir()
    for number, file in enumerate(sorted(model_directory().iterdir())):
        blob = repository / "blobs" / f"{number:040x}"
        if shared:
            store = cache / "blobs" / "ab" / f"ab{number:062x}"
            store.parent.mkdir(parents=True, exist_ok=True)
            store.write_bytes(file.read_bytes())
            blob.symlink_to(os.path.relpath(store, blob.parent))
        else:
            blob.write_bytes(file.read_bytes())
        (directory / file.name).symlink_to(f"../../blobs/{blob.name}")
    (directory / "sub" / "README.md").symlink_to(f"../../../blobs/{0:040x}")
    return directory


@pytest.mark.parametrize("shared", [False, True], ids=["own blobs", "shared blobs"])
def test_a_snapshot_of_links_into_its_blobs_is_let_through(tmp_path: Path, shared: bool) -> None:
    check_model(snapshot(tmp_path / "hub", shared=shared))
    (tmp_path / "link").symlink_to(tmp_path / "hub" / "models--org--name" / "snapshots" / "0123abc")
    check_model(tmp_path / "link")


@pytest.mark.parametrize(
    "target",
    [
        "models--org--other/blobs/1",
        "blobs/.huggingface-shared-blobs",
        "blobs/ab/x",
        "models--org--name/refs/main",
    ],
)
def test_a_snapshot_that_leads_elsewhere_in_the_cache_is_refused(tmp_path: Path, target: str) -> None:
    directory = snapshot(tmp_path)
    secret = tmp_path / target
    secret.parent.mkdir(parents=True, exist_ok=True)
    secret.write_text("{}")
    (directory / "extra.json").symlink_to(secret)
    assert "extra.json is a link that leads out" in why_refused(directory)


def test_blobs_beside_what_is_no_cache_are_out_of_reach(tmp_path: Path) -> None:
    directory = demo_copy(tmp_path / "name" / "snapshots" / "main")
    (tmp_path / "name" / "blobs").mkdir()
    (tmp_path / "name" / "blobs" / "1").write_text("{}")
    (directory / "extra.json").symlink_to("../../blobs/1")
    assert "extra.json is a link that leads out" in why_refused(directory)


def test_what_no_loader_reads_does_no_harm(model: Path) -> None:
    for name in (
        "README.md",
        "LICENSE",
        ".gitattributes",
        "picture.PNG",
        "notes.txt",
        "model.onnx",
        "x.py.txt",
    ):
        (model / name).write_bytes(b"\x00\xff")
    (model / ".cache" / "huggingface").mkdir(parents=True)
    (model / ".cache" / "huggingface" / "config.json.metadata").write_text("x")
    (model / "._model.safetensors").write_bytes(b"\x00\x05\x16\x07")
    (model / "link.txt").symlink_to("notes.txt")
    check_model(model)


def test_weights_in_shards_with_their_index_are_let_through(model: Path) -> None:
    (model / "model.safetensors").rename(model / "model-00001-of-00001.safetensors")
    say(model, "model.safetensors.index.json", weight_map={"a": "model-00001-of-00001.safetensors"})
    check_model(model)


def test_what_models_in_the_wild_say_is_let_through(model: Path) -> None:
    say(model, "config.json", time_step_limit=[0.0, float("inf")], sliding_window=None, pad_token_id=-1)
    say(model, "config.json", limit={"__float__": "0"}, rope_scaling={"factor": 1e30}, model_file=None)
    say(model, "config.json", text_config={"model_type": "", "vocab_size": 262_144, "num_hidden_layers": 128})
    say(model, "tokenizer_config.json", chat_template=[{"name": "default", "template": "{{ messages }}"}])
    say(model, "special_tokens_map.json", eos_token="x")
    (model / "modules.json").write_text("[]")
    (model / "vocab.json").write_text(json.dumps({"auto_map": 1, "model_file": 2}))
    check_model(model)


@pytest.mark.parametrize(
    ("family", "model_type", "library"),
    [
        ("qwen3", ModelType.LM, None),
        ("mistral", ModelType.LM, None),  # which has no module of its own
        ("Klear", ModelType.LM, None),
        ("klear", ModelType.LM, "mlx-lm"),
        ("no_such_model", ModelType.LM, "mlx-lm"),
        ("qwen2_vl", ModelType.MULTIMODAL, None),
        ("lfm2-vl", ModelType.MULTIMODAL, None),
        ("no_such_model", ModelType.MULTIMODAL, "mlx-vlm"),
        ("xlm-roberta", ModelType.EMBEDDINGS, None),
        ("no_such_model", ModelType.WHISPER, None),  # only the library itself can tell
    ],
)
def test_the_families_of_models_are_read_from_the_installed_libraries(
    family: str, model_type: ModelType, library: str | None
) -> None:
    assert architectures.unknowing_library(family, model_type) == library


def test_who_hears_and_who_speaks() -> None:
    assert architectures.can_hear("whisper")
    assert not architectures.can_speak("whisper")
    assert architectures.can_speak("soprano")
    assert not architectures.can_hear("no_such_model")


def test_a_remapping_that_cannot_be_read_is_no_remapping() -> None:
    assert architectures.read_remapping('MODEL_REMAPPING = {\n    "a": "b",  # why\n}\n') == {"a": "b"}
    assert architectures.read_remapping("MODEL_REMAPPING = load()\n") is None
    assert architectures.read_remapping("MODEL_REMAPPING = {\n    **others,\n}\n") is None
