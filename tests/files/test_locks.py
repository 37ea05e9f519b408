"""Locks of files end with their holder, whatever becomes of it, and are nobody else's."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mlxhub.errors import LockTimeout
from mlxhub.files.locks import hold_lock, is_locked, try_lock

HOLD = """
import subprocess, sys, time
from pathlib import Path
from mlxhub.files.locks import try_lock
held = try_lock(Path(sys.argv[1]))
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], close_fds=False)
print(child.pid if held is not None else "not held", flush=True)
time.sleep(60)
"""


@contextmanager
def holder(lock: Path) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """A process that holds it, and a program that this process runs."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(lock)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    try:
        yield process, child
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()
        os.kill(child, 9)


def test_a_killed_process_holds_nothing_though_a_program_of_its_own_lives_on(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with holder(lock) as (process, child):
        assert is_locked(lock)
        assert try_lock(lock) is None
        process.kill()
        process.wait(10)
        os.kill(child, 0)
        assert not is_locked(lock)
        mine = try_lock(lock)
        assert mine is not None
        os.close(mine)


def test_looking_at_a_lock_does_not_free_it_for_its_own_process(tmp_path: Path) -> None:
    held = try_lock(tmp_path / "lock")
    assert held is not None
    for _ in range(3):
        assert is_locked(tmp_path / "lock")
    assert try_lock(tmp_path / "lock") is None
    os.close(held)
    assert not is_locked(tmp_path / "lock")


def test_a_file_that_nobody_holds_or_that_is_not_there_is_not_locked(tmp_path: Path) -> None:
    (tmp_path / "stale").write_text("7")
    assert not is_locked(tmp_path / "stale")
    assert not is_locked(tmp_path / "missing")


def test_a_second_holder_gives_up_at_its_deadline(tmp_path: Path) -> None:
    now = 0.0

    def pause(seconds: float) -> None:
        nonlocal now
        now += seconds

    with (
        hold_lock(tmp_path / "lock"),
        pytest.raises(LockTimeout, match="Another mlxhub"),
        hold_lock(tmp_path / "lock", seconds=5, clock=lambda: now, pause=pause),
    ):
        pass
    assert 5 <= now < 6
