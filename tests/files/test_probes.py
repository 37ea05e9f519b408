"""Questions to the machine end, whatever happens."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlxhub.demo import model_directory
from mlxhub.files import bounded_run
from mlxhub.files.bounded_run import run_bounded
from mlxhub.files.checkpoint_probe import cached_snapshot
from mlxhub.files.huggingface import cache_directory
from mlxhub.files.probes import CheckpointSeen, are_directories, ask_program, look_at_checkpoints

SLEEPER = (sys.executable, "-c", "import time; print('begun', flush=True); time.sleep(60)")


class _StuckInTheKernel(subprocess.Popen[bytes]):
    """SIGKILL reaches it when it comes back, which it does not."""

    begun: "list[_StuckInTheKernel]" = []  # noqa: RUF012 - emptied by the fixture

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[call-overload]
        self.begun.append(self)

    def kill(self) -> None:
        pass


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[_StuckInTheKernel]]:
    monkeypatch.setattr(bounded_run, "Popen", _StuckInTheKernel)
    yield _StuckInTheKernel.begun
    for process in _StuckInTheKernel.begun:
        super(_StuckInTheKernel, process).kill()
        process.wait(10)
    _StuckInTheKernel.begun.clear()


def _checkpoint(path: Path, config: str = "{}") -> Path:
    path.mkdir()
    (path / "config.json").write_text(config)
    (path / "model.safetensors").write_bytes(b"x" * 100)
    return path


def _stuck_checkpoint(path: Path) -> Path:
    """A pipe nobody writes to stands for a dead network disk."""
    _checkpoint(path)
    (path / "config.json").unlink()
    os.mkfifo(path / "config.json")
    return path


def test_a_program_that_hangs_is_left_alone_in_time() -> None:
    began = time.monotonic()
    answer = ask_program((sys.executable, "-c", "import time; time.sleep(60)"), 0.3)
    assert (answer.code, answer.output) == (None, "it did not finish within 0.3 s")
    assert time.monotonic() - began < 5


def test_a_program_that_nothing_can_end_is_left_behind(stuck: list[_StuckInTheKernel]) -> None:
    began = time.monotonic()
    done = run_bounded(SLEEPER, 1.0)
    assert (done.code, done.output) == (None, b"begun\n")
    assert time.monotonic() - began < 10
    assert [process.poll() for process in stuck] == [None]


def test_a_program_that_ends_and_leaves_another_with_its_pipes_costs_its_limit() -> None:
    leaves = "import subprocess, sys; print(subprocess.Popen(['sleep', '60']).pid, flush=True)"
    began = time.monotonic()
    done = run_bounded((sys.executable, "-c", leaves), 1.0)
    assert time.monotonic() - began < 10
    with contextlib.suppress(ProcessLookupError):
        os.kill(int(done.output), 9)


def test_a_program_that_is_not_there_is_no_error() -> None:
    assert ask_program(("/nowhere/program",), 1).code is None


def test_what_a_program_complains_of_is_its_answer() -> None:
    answer = ask_program((sys.executable, "-c", "import sys; sys.exit('no')"), 10)
    assert (answer.code, answer.output) == (1, "no")


def test_what_is_wrong_with_a_model_directory_is_said(tmp_path: Path) -> None:
    good = _checkpoint(tmp_path / "good")
    broken = _checkpoint(tmp_path / "broken", config="{")
    deep = _checkpoint(tmp_path / "deep", config="[" * 100_000)
    bare = _checkpoint(tmp_path / "bare")
    (bare / "model.safetensors").unlink()
    empty = tmp_path / "empty"
    empty.mkdir()
    places = [str(path) for path in (good, broken, deep, bare, empty, tmp_path / "none", model_directory())]
    seen = look_at_checkpoints(places, tmp_path, 10)
    assert [seen[place].fault for place in places] == [
        None,
        "its config.json is not JSON",
        "its config.json is not JSON",
        "it has no *.safetensors",
        "it has no config.json, so it is no model in MLX format",
        "there is no such directory",
        None,
    ]
    assert seen[str(good)] == CheckpointSeen(str(good), None, 100)


def test_a_directory_that_hangs_whoever_reads_it_does_not_hide_the_others(tmp_path: Path) -> None:
    first, last = _checkpoint(tmp_path / "first"), _checkpoint(tmp_path / "last")
    stuck = [_stuck_checkpoint(tmp_path / name) for name in ("stuck", "stuck too", "and this")]
    places = [str(path) for path in (first, *stuck, last)]
    began = time.monotonic()
    seen = look_at_checkpoints(places, tmp_path, 2.0)
    assert time.monotonic() - began < 6  # twice the limit, however many there are
    assert (seen[str(first)].fault, seen[str(last)].fault) == (None, None)
    assert {seen[str(path)].fault for path in stuck} == {"reading it did not end within 2 s"}


def test_where_a_repo_lies_in_the_cache_is_found_within_the_limit(tmp_path: Path) -> None:
    snapshot = tmp_path / "models--org--here" / "snapshots" / "abc"
    snapshot.parent.mkdir(parents=True)
    _checkpoint(snapshot)
    (tmp_path / "models--org--here" / "refs").mkdir()
    (tmp_path / "models--org--here" / "refs" / "main").write_text("abc")
    (tmp_path / "models--org--stuck" / "refs").mkdir(parents=True)
    os.mkfifo(tmp_path / "models--org--stuck" / "refs" / "main")
    assert look_at_checkpoints(["org/stuck", "org/here", "org/none"], tmp_path, 2.0) == {
        "org/stuck": CheckpointSeen(None, "reading it did not end within 2 s"),
        "org/here": CheckpointSeen(str(snapshot), None, 100),
        "org/none": CheckpointSeen(None),
    }


def test_directories_are_told_from_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    paths = [str(tmp_path), str(tmp_path / "file"), str(tmp_path / "none")]
    assert list(are_directories(paths, 10).values()) == [True, False, False]
    assert are_directories([], 10) == {}


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
