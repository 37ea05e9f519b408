"""`mlxhub logs`, run as people run it: in pipes, and while a log is rotated under it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlxhub.files.log_files import LogFile
from tests.eventually import eventually
from tests.stories.conftest import LiveHub

DEMO = "{name: demo, model_path: 'builtin:demo', aliases: [gpt-4o-mini]}"


@pytest.fixture
def directory(hub: LiveHub) -> Path:
    hub.write(DEMO)
    (hub.home / "logs" / "stdio").mkdir(parents=True)
    return hub.home / "logs"


def _follow(hub: LiveHub, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "mlxhub", "logs", *arguments, "-f"],
        env=os.environ | {"MLXHUB_HOME": str(hub.home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_lines_reach_back_into_what_was_rotated(hub: LiveHub, directory: Path) -> None:
    (directory / "demo.log.20261120T100000.000000").write_text("one\ntwo\n")
    (directory / "demo.log.20261120T110000.000000").write_text("three\n")
    (directory / "demo.log").write_text("four\nfive\n")
    assert hub.ok("logs", "gpt-4o-mini", "-n", "4").split() == ["two", "three", "four", "five"]
    assert hub.ok("logs", "demo", "-n", "0") == ""


def test_a_follower_loses_and_repeats_nothing_when_the_log_is_rotated(hub: LiveHub, directory: Path) -> None:
    path = directory / "demo.log"
    log = LogFile(path)
    log.write(b"line 0\n")
    with _follow(hub, "demo") as follower:
        assert follower.stdout is not None
        seen = [follower.stdout.readline()]
        for number in range(1, 100):
            if number % 20 == 0:
                path.rename(directory / f"demo.log.20261120T1000{number:02}.000000")
            log.write(f"line {number}\n".encode())
        seen += [follower.stdout.readline() for _ in range(99)]
        assert seen == [f"line {number}\n" for number in range(100)]
        follower.terminate()


def test_a_follower_ends_when_nobody_reads_it_any_more(hub: LiveHub, directory: Path) -> None:
    """Also of a log in which nothing happens, and without a complaint."""
    (directory / "controller.log").write_text("one\n")
    follower = _follow(hub)
    assert follower.stdout is not None
    assert follower.stderr is not None
    assert follower.stdout.readline() == "one\n"
    follower.stdout.close()
    eventually(lambda: follower.poll() is not None, 5)
    assert (follower.returncode, follower.stderr.read()) == (0, "")
    follower.stderr.close()


def test_last_words_that_were_cut_off_are_shown(hub: LiveHub, directory: Path) -> None:
    """As of a process that printed a lot, died, and never got as far as its log."""
    (directory / "stdio" / "demo.log.1").write_text("noise\nTraceback\nMemoryError\n")
    (directory / "stdio" / "demo.log").touch()
    assert hub.ok("logs", "demo", "-n", "2").splitlines()[1:3] == ["Traceback", "MemoryError"]
    (directory / "stdio" / "demo.log").write_text("again\n")
    assert hub.ok("logs", "demo", "-n", "2").splitlines()[1:3] == ["MemoryError", "again"]


def test_last_words_come_first(hub: LiveHub, directory: Path) -> None:
    assert hub.run("logs", "demo").returncode == 1
    (directory / "stdio" / "demo.log").write_text("Traceback\n")
    shown = hub.ok("logs", "demo").splitlines()
    assert shown == [f"--- {directory / 'stdio' / 'demo.log'}", "Traceback", f"--- {directory / 'demo.log'}"]
