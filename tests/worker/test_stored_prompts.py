"""Prompts that were read, kept in files: known after a restart, bounded, and never believed unchecked."""

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mlxhub.demo import MODEL_REFERENCE as DEMO
from mlxhub.worker.engines import read_prompts
from mlxhub.worker.engines.prefill import Prefill
from mlxhub.worker.engines.text import TextEngine, TextEngineOptions
from tests.worker.processes import Worker, make_random_model, running_worker
from tests.worker.test_one_at_a_time import CHUNKED, run, tokens_of, user
from tests.worker.test_text_engine_prompts import RECURRENT, WINDOWS

MODELS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "attention": ({}, {}),
    "windows": (WINDOWS, {}),
    "recurrent": (RECURRENT, {}),
    "chunked": (CHUNKED, {}),
    "kv_bits": ({}, {"kv_bits": 8}),
    "draft": ({}, {"draft_model": DEMO}),
}
PLENTY = 100_000_000
Open = Callable[..., TextEngine]


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    return tmp_path / "prompts"


@pytest.fixture
def open_engine(random_model: Path, stored: Path) -> Iterator[Open]:
    opened: list[TextEngine] = []

    def open_one(path: Path = random_model, stored_bytes: int = PLENTY, **options: Any) -> TextEngine:
        engine = TextEngine(
            TextEngineOptions(
                "m",
                str(path),
                4,
                Prefill(32, 32),
                stored_bytes=stored_bytes,
                stored_prompts=str(stored),
                **options,
            )
        )
        engine.load()
        opened.append(engine)
        return engine

    yield open_one
    for engine in opened:
        engine.unload()


def files(stored: Path) -> list[Path]:
    return sorted(stored.iterdir()) if stored.exists() else []


@pytest.mark.parametrize("kind", MODELS)
def test_a_prompt_is_known_after_a_restart_and_answered_alike(
    open_engine: Open, tmp_path: Path, kind: str
) -> None:
    changes, options = MODELS[kind]
    model = make_random_model(tmp_path / "model", **changes)
    first = open_engine(model, **options)
    expected, none = run(first, user("one " * 50), max_tokens=20)
    first.unload()
    text, known = run(open_engine(model, **options), user("one " * 50), max_tokens=20)
    assert (text, none) == (expected, 0)
    assert known > 150


def test_files_are_the_users_alone_and_written_once(open_engine: Open, stored: Path) -> None:
    engine = open_engine()
    run(engine, tokens_of(100))
    engine.unload()
    (file,) = files(stored)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(stored.stat().st_mode) == 0o700
    written = file.stat().st_mtime_ns
    open_engine().unload()
    assert [each.stat().st_mtime_ns for each in files(stored)] == [written]


def test_a_longer_conversation_replaces_its_beginning(open_engine: Open, stored: Path) -> None:
    engine = open_engine()
    run(engine, tokens_of(100), max_tokens=1)
    engine.unload()
    before = files(stored)
    again = open_engine()
    assert run(again, tokens_of(100), max_tokens=50)[1] == 99
    again.unload()
    after = files(stored)
    assert len(after) == 1
    assert after != before


def test_the_least_recently_used_give_way(open_engine: Open, stored: Path) -> None:
    engine = open_engine()
    for first in range(5):
        run(engine, tokens_of(100, first), max_tokens=1)
    engine.unload()
    sizes = [file.stat().st_size for file in files(stored)]
    assert len(sizes) == 5
    few = open_engine(stored_bytes=2 * max(sizes) + 1000)
    assert len(files(stored)) == 2
    assert [run(few, tokens_of(100, first), max_tokens=1)[1] for first in (4, 3, 0)] == [99, 99, 0]
    few.unload()
    assert sum(file.stat().st_size for file in files(stored)) <= 2 * max(sizes) + 1000


def test_nothing_is_kept_where_nothing_may_be(open_engine: Open, stored: Path) -> None:
    engine = open_engine()
    run(engine, tokens_of(100))
    engine.unload()
    assert files(stored)
    without = open_engine(stored_bytes=0)
    assert files(stored) == []
    run(without, tokens_of(100))
    without.unload()
    assert files(stored) == []


def damaged(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:-1],
        lambda content: content + b"x",
        lambda content: damaged(content, len(content) - 50),
        lambda content: damaged(content, 3),
        lambda content: damaged(content, content.index(b'"0.tokens"') + 16),
        lambda content: b"\xff" * 8 + content[8:],
    ],
    ids=["empty", "cut", "longer", "data", "length", "tokens", "no length"],
)
def test_a_damaged_file_is_deleted_and_the_prompt_read_anew(
    open_engine: Open, stored: Path, damage: Callable[[bytes], bytes]
) -> None:
    engine = open_engine()
    expected, _ = run(engine, tokens_of(100))
    engine.unload()
    (file,) = files(stored)
    file.write_bytes(damage(file.read_bytes()))
    again = open_engine()
    assert run(again, tokens_of(100)) == (expected, 0)
    assert file not in files(stored)


def test_files_of_another_model_are_deleted(open_engine: Open, stored: Path, tmp_path: Path) -> None:
    other = make_random_model(tmp_path / "other", num_hidden_layers=3)
    engine = open_engine()
    run(engine, tokens_of(100))
    engine.unload()
    assert run(open_engine(other), tokens_of(100))[1] == 0
    assert files(stored) == []


def test_other_options_make_another_model(open_engine: Open, stored: Path) -> None:
    engine = open_engine()
    run(engine, tokens_of(100))
    engine.unload()
    assert run(open_engine(kv_bits=8), tokens_of(100))[1] == 0
    assert files(stored) == []


def test_what_is_no_file_of_ours_is_left_alone(open_engine: Open, stored: Path) -> None:
    stored.mkdir()
    (stored / "notes.txt").write_text("mine")
    (stored / "unfinished.safetensors").write_text("a write that was cut short")
    os.mkfifo(stored / f"{'0' * 64}.safetensors")
    (stored / f"{'1' * 64}.safetensors").symlink_to("/etc/passwd")
    engine = open_engine()
    run(engine, tokens_of(100))
    engine.unload()
    left = {file.name for file in files(stored)}
    assert {"notes.txt", f"{'0' * 64}.safetensors", f"{'1' * 64}.safetensors"} < left
    assert "unfinished.safetensors" not in left


def test_what_cannot_be_written_costs_nothing_but_the_file(open_engine: Open, stored: Path) -> None:
    engine = open_engine()
    run(engine, tokens_of(100))
    stored.write_text("a file where the directory should be")
    engine.unload()
    assert stored.is_file()


def test_what_cannot_be_deleted_costs_neither_a_load_nor_an_answer(
    open_engine: Open, stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine()
    expected, _ = run(engine, tokens_of(100))
    engine.unload()
    (file,) = files(stored)

    def refuse(_path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied")

    # Root may delete anything, so that no right of a directory would do here.
    monkeypatch.setattr(Path, "unlink", refuse)
    again = open_engine()
    file.write_bytes(damaged(file.read_bytes(), file.stat().st_size - 50))
    assert run(again, tokens_of(100)) == (expected, 0)
    again.unload()
    open_engine(stored_bytes=0).unload()
    open_engine(make_random_model(tmp_path / "other", num_hidden_layers=3)).unload()


def test_one_that_is_too_large_for_memory_is_neither_written_nor_read(
    open_engine: Open, stored: Path
) -> None:
    small = open_engine(kept_bytes=100_000)
    run(small, tokens_of(200))
    small.unload()
    assert files(stored) == []
    engine = open_engine()
    run(engine, tokens_of(200))
    engine.unload()
    assert len(files(stored)) == 1
    assert run(open_engine(kept_prompts=0), tokens_of(200))[1] == 0
    assert files(stored) == []


def test_writing_ends_in_time(open_engine: Open, stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_prompts, "STORING_SECONDS", -1)
    engine = open_engine()
    run(engine, tokens_of(100))
    engine.unload()
    assert files(stored) == []


def test_a_file_that_has_gone_is_written_again(open_engine: Open, stored: Path) -> None:
    engine = open_engine()
    run(engine, tokens_of(100))
    engine.unload()
    again = open_engine()
    assert run(again, tokens_of(100))[1] == 99
    shutil.rmtree(stored)
    again.unload()
    assert len(files(stored)) == 1


def test_a_file_that_goes_while_the_worker_runs_is_no_fault(open_engine: Open, stored: Path) -> None:
    engine = open_engine()
    expected, _ = run(engine, tokens_of(100))
    engine.unload()
    again = open_engine()
    shutil.rmtree(stored)
    assert run(again, tokens_of(100)) == (expected, 0)


def test_a_worker_that_is_stopped_and_started_knows_its_prompts(random_model: Path, stored: Path) -> None:
    settings = {
        "model_path": str(random_model),
        "prompt_cache": {"disk_bytes": PLENTY},
        "stored_prompts": str(stored),
    }

    def ask(worker: Worker) -> tuple[str, int]:
        answer = worker.chat("one " * 50, max_tokens=10, temperature=0).json()
        cached = answer["usage"]["prompt_tokens_details"]["cached_tokens"]
        return answer["choices"][0]["message"]["content"], cached

    with running_worker(**settings) as worker:
        expected, none = ask(worker)
        worker.process.terminate()
        assert worker.process.wait(20) == 0
    with running_worker(**settings) as worker:
        text, cached = ask(worker)
    assert (text, none) == (expected, 0)
    assert cached > 150
