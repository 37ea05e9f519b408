"""Questions to the machine end, whatever happens."""

import os
import sys
import time
from pathlib import Path

from mlxhub.demo import model_directory
from mlxhub.files.huggingface import cache_directory, cached_snapshot
from mlxhub.files.probes import ask_program, look_at_checkpoints


def _checkpoint(path: Path, config: str = "{}") -> Path:
    path.mkdir()
    (path / "config.json").write_text(config)
    (path / "model.safetensors").write_bytes(b"x" * 100)
    return path


def test_a_program_that_hangs_is_left_alone_in_time() -> None:
    began = time.monotonic()
    answer = ask_program((sys.executable, "-c", "import time; time.sleep(60)"), 0.3)
    assert (answer.code, answer.output) == (None, "it did not finish within 0.3 s")
    assert time.monotonic() - began < 5


def test_a_program_that_is_not_there_is_no_error() -> None:
    assert ask_program(("/nowhere/program",), 1).code is None


def test_what_is_wrong_with_a_model_directory_is_said(tmp_path: Path) -> None:
    good = _checkpoint(tmp_path / "good")
    broken = _checkpoint(tmp_path / "broken", config="{")
    bare = _checkpoint(tmp_path / "bare")
    (bare / "model.safetensors").unlink()
    empty = tmp_path / "empty"
    empty.mkdir()
    places = [str(path) for path in (good, broken, bare, empty, tmp_path / "none", model_directory())]
    seen = look_at_checkpoints(places, 10)
    assert [seen[place].fault for place in places] == [
        None,
        "its config.json is not JSON",
        "it has no *.safetensors",
        "it has no config.json, so it is no model in MLX format",
        "there is no such directory",
        None,
    ]
    assert seen[str(good)].weights_bytes == 100


def test_a_directory_that_hangs_whoever_reads_it_does_not_hide_the_others(tmp_path: Path) -> None:
    """A pipe nobody writes to stands for a dead network disk."""
    first, stuck, last = (_checkpoint(tmp_path / name) for name in ("first", "stuck", "last"))
    (stuck / "config.json").unlink()
    os.mkfifo(stuck / "config.json")
    seen = look_at_checkpoints([str(first), str(stuck), str(last)], 1.0)
    assert seen[str(first)].fault is None
    assert seen[str(stuck)].fault == "reading it did not end within 1 s"
    assert seen[str(last)].fault is None


def test_the_hugging_face_cache_is_found_as_its_library_finds_it(tmp_path: Path) -> None:
    assert cache_directory({}, Path("/home/ann")) == Path("/home/ann/.cache/huggingface/hub")
    assert cache_directory({"HF_HOME": "/hf"}, Path("/home/ann")) == Path("/hf/hub")
    assert cache_directory({"HF_HOME": "/hf", "HF_HUB_CACHE": "/c"}, Path("/home/ann")) == Path("/c")
    own = tmp_path / "models--org--name"
    (own / "snapshots" / "abc").mkdir(parents=True)
    (own / "refs").mkdir()
    assert cached_snapshot(tmp_path, "org/name") is None
    (own / "refs" / "main").write_text("abc")
    assert cached_snapshot(tmp_path, "org/name") == own / "snapshots" / "abc"
