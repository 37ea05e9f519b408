"""A program that is not trusted is ended at each of its limits."""

import sys
import time

import psutil
import pytest

from mlxhub.files.watched_run import Limit, Limits, Watched, run_watched

LIMITS = Limits(start_seconds=20, seconds=1.0, memory_bytes=50_000_000, output_bytes=1000)


def run(code: str, given: bytes = b"", limits: Limits = LIMITS) -> Watched:
    return run_watched((sys.executable, "-I", "-S", "-c", code), given, limits, environment={})


def test_what_it_is_given_and_says_comes_whole() -> None:
    code = "import sys; given = sys.stdin.buffer.read(); print(len(given), given[-1:])"
    assert run(code, b"x" * 3_000_000) == Watched(0, b"3000000 b'x'\n")


def test_how_it_ends_is_told() -> None:
    assert run("import sys; print('a'); sys.exit(3)") == Watched(3, b"a\n")
    assert run("import os; os.kill(os.getpid(), 11)").code == -11


def test_it_need_not_take_what_it_is_given() -> None:
    assert run("import os; os.close(0); print('a')", b"x" * 3_000_000) == Watched(0, b"a\n")


@pytest.mark.parametrize(
    ("code", "beyond"),
    [
        ("print('a', flush=True)\nwhile True: pass", Limit.TIME),
        ("import os\nprint('a', flush=True)\nos.close(1)\nwhile True: pass", Limit.TIME),
        ("print('a', flush=True)\nx = b'x' * 500_000_000\nwhile True: pass", Limit.MEMORY),
        ("while True: print('a' * 100)", Limit.OUTPUT),
    ],
    ids=["time", "silent", "memory", "output"],
)
def test_it_is_ended_at_its_limits(code: str, beyond: Limit) -> None:
    before = psutil.Process().children()
    began = time.monotonic()
    ended = run(code)
    assert (ended.code, ended.beyond) == (None, beyond)
    assert time.monotonic() - began < 10
    assert psutil.Process().children() == before


def test_it_is_ended_once_nobody_wants_it() -> None:
    wanted = iter([True] * 5)
    code = "print('a', flush=True)\nwhile True: pass"
    command = (sys.executable, "-I", "-S", "-c", code)
    limits = Limits(start_seconds=20, seconds=60, memory_bytes=50_000_000, output_bytes=1000)
    ended = run_watched(command, b"", limits, environment={}, is_wanted=lambda: next(wanted, False))
    assert (ended.code, ended.beyond) == (None, Limit.UNWANTED)
    assert not psutil.Process().children()


def test_its_start_has_a_limit_of_its_own() -> None:
    slow = "import time; time.sleep(1.5); print('a')"
    assert run(slow).beyond is None
    hung = Limits(start_seconds=0.3, seconds=20, memory_bytes=1, output_bytes=1)
    assert run("import time; time.sleep(60)", limits=hung).beyond is Limit.START


def test_it_sees_nothing_of_the_environment() -> None:
    assert run("import os; print('HOME' in os.environ)").output == b"False\n"
