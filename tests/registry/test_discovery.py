"""Models on disk are found, described and remembered; what is broken or gone hides no other."""

import json
import os
import shutil
from pathlib import Path

import pytest

from mlxhub.core.described import Kind, Tier
from mlxhub.core.memory import Use
from mlxhub.registry.discovery import Discovered, discover
from tests.registry.models import demo_copy, say

USE = Use(None, 8, 2048, None, slow_halves=False, kept_entries=16, kept_bytes=2_000_000_000)


@pytest.fixture
def known(tmp_path: Path) -> Path:
    return tmp_path / "state" / "discovered.json"


def in_cache(cache: Path, repo: str, revision: str = "abc") -> Path:
    """As huggingface_hub lays one out: its files are links to blobs."""
    own = cache / f"models--{repo.replace('/', '--')}"
    source = demo_copy(own.parent / f"source of {own.name}")
    snapshot, blobs = own / "snapshots" / revision, own / "blobs"
    for directory in (snapshot, blobs, own / "refs"):
        directory.mkdir(parents=True)
    (own / "refs" / "main").write_text(revision)
    for number, file in enumerate(source.iterdir()):
        shutil.move(file, blobs / str(number))
        (snapshot / file.name).symlink_to(f"../../blobs/{number}")
    source.rmdir()
    return snapshot


def found(known: Path, *places: Path, seconds: float = 20) -> dict[str, Discovered]:
    discovery = discover(places, known, USE, seconds=seconds)
    assert discovery.is_complete
    return {model.name: model for model in discovery.models}


def test_a_cached_repository_is_described(tmp_path: Path, known: Path) -> None:
    snapshot = in_cache(tmp_path / "hub", "org/Tiny")
    (model,) = found(known, tmp_path / "hub").values()
    assert (model.name, model.directory, model.fault) == ("org/Tiny", str(snapshot), None)
    assert model.size_bytes == sum(file.stat().st_size for file in snapshot.iterdir())
    assert model.described is not None
    assert (model.described.family, model.described.kind) == ("qwen3", Kind.TEXT)
    assert (model.described.tier, model.described.context_length) == (Tier.FAST, 2048)
    assert 100_000 < model.described.parameters < 200_000
    assert model.described.needed_bytes > 250_000_000


def test_directories_of_models_are_found_some_levels_down(tmp_path: Path, known: Path) -> None:
    for place in ("a", "org/b", "org/deep/c", "too/deep/to/be/found", ".hidden/d"):
        demo_copy(tmp_path / "models" / place)
    demo_copy(tmp_path / "models" / "a" / "within another")
    names = [str(Path(name).relative_to(tmp_path / "models")) for name in found(known, tmp_path / "models")]
    assert names == ["a", "org/b", "org/deep/c"]


def test_a_place_that_is_not_there_hides_no_other(tmp_path: Path, known: Path) -> None:
    demo_copy(tmp_path / "models" / "a")
    assert len(found(known, tmp_path / "nowhere", tmp_path / "models")) == 1


@pytest.mark.parametrize("what", ["half downloaded", "pickle", "damaged", "no JSON", "empty"])
def test_what_cannot_be_loaded_says_why_and_hides_no_other(tmp_path: Path, known: Path, what: str) -> None:
    demo_copy(tmp_path / "models" / "good")
    bad = demo_copy(tmp_path / "models" / "bad")
    weights = next(bad.glob("*.safetensors"))
    match what:
        case "half downloaded":
            say(
                bad,
                "model.safetensors.index.json",
                weight_map={"a": weights.name, "b": "model-2.safetensors"},
            )
        case "pickle":
            weights.rename(bad / "pytorch_model.bin")
        case "damaged":
            os.truncate(weights, 1000)
        case "no JSON":
            (bad / "config.json").write_text("{")
        case "empty":
            weights.unlink()
    models = found(known, tmp_path / "models")
    assert models[str(tmp_path / "models" / "good")].described is not None
    broken = models[str(bad)]
    assert broken.described is None
    assert broken.fault
    assert str(tmp_path) not in broken.fault


def test_what_was_found_is_not_read_again_until_it_changes(tmp_path: Path, known: Path) -> None:
    directory = demo_copy(tmp_path / "models" / "a")
    found(known, tmp_path / "models")
    remembered = json.loads(known.read_text())
    remembered[str(directory)][1]["config"]["model_type"] = "remembered"
    known.write_text(json.dumps(remembered))
    (model,) = found(known, tmp_path / "models").values()
    assert model.described is not None
    assert model.described.family == "remembered"
    (directory / "config.json").touch()
    (model,) = found(known, tmp_path / "models").values()
    assert model.described is not None
    assert model.described.family == "qwen3"


@pytest.mark.parametrize("content", [b"", b"[]", b'{"a": 1}', b"\xff"])
def test_a_damaged_memory_costs_a_second_look_only(tmp_path: Path, known: Path, content: bytes) -> None:
    demo_copy(tmp_path / "models" / "a")
    known.parent.mkdir()
    known.write_bytes(content)
    assert len(found(known, tmp_path / "models")) == 1


def test_what_is_gone_is_forgotten(tmp_path: Path, known: Path) -> None:
    directory = demo_copy(tmp_path / "models" / "a")
    found(known, tmp_path / "models")
    shutil.rmtree(directory)
    assert found(known, tmp_path / "models") == {}
    assert json.loads(known.read_text()) == {}


def test_a_disk_that_hangs_costs_its_own_models_only_and_what_was_known_stays(
    tmp_path: Path, known: Path
) -> None:
    """A pipe in the place of a file that is opened hangs as a network disk does that is gone."""
    demo_copy(tmp_path / "a")
    slow = in_cache(tmp_path / "hub", "org/Slow")
    found(known, tmp_path / "a", tmp_path / "hub")
    reference = slow.parent.parent / "refs" / "main"
    reference.unlink()
    os.mkfifo(reference)
    discovery = discover([tmp_path / "a", tmp_path / "hub"], known, USE, seconds=2)
    assert not discovery.is_complete
    assert [model.name for model in discovery.models] == [str(tmp_path / "a")]
    assert str(slow) in json.loads(known.read_text())
