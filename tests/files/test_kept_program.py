"""A program that is asked again and again is ended at each of its limits, and when nobody asks any more."""

import os
import signal
import sys
import threading
from collections.abc import Iterator

import psutil
import pytest

from mlxhub.files.kept_program import Beyond, Ended, KeptProgram
from mlxhub.files.watched_run import Limit, Limits

LIMITS = Limits(start_seconds=20, seconds=1.0, memory_bytes=50_000_000, output_bytes=100_000)
ECHO = "import sys\nprint('ready', flush=True)\nfor line in sys.stdin: print(line.strip(), flush=True)"
THEN = "import os, sys, time\nprint('ready', flush=True)\nline = sys.stdin.readline()\n"


def keep(code: str) -> KeptProgram:
    return KeptProgram((sys.executable, "-I", "-S", "-c", code), environment={})


@pytest.fixture
def echo() -> Iterator[KeptProgram]:
    program = keep(ECHO)
    yield program
    program.close()


def test_each_line_gets_its_answer(echo: KeptProgram) -> None:
    for line in (b"a", b"b", b"c" * 70_000, b""):
        assert echo.ask(line, LIMITS) == line
    assert echo.is_alive


def test_what_fits_into_no_pipe_comes_whole(echo: KeptProgram) -> None:
    large = Limits(20, 10, 200_000_000, 10_000_000)
    assert echo.ask(b"x" * 5_000_000, large) == b"x" * 5_000_000


def test_what_it_is_told_first_makes_it_ready() -> None:
    program = keep("import sys\nprint(len(sys.stdin.readline()), flush=True)\n" + ECHO.split("\n", 2)[2])
    program.tell(b"x" * 200_000)
    assert program.ask(b"a", LIMITS) == b"a"
    program.close()


@pytest.mark.parametrize(
    ("code", "beyond"),
    [
        ("while True: pass", Limit.TIME),
        ("time.sleep(60)", Limit.TIME),
        ("x = b'x' * 500_000_000\nwhile True: pass", Limit.MEMORY),
        ("while True: sys.stdout.write('x' * 1000)", Limit.OUTPUT),
    ],
    ids=["computing", "sleeping", "memory", "output"],
)
def test_it_is_ended_at_its_limits(code: str, beyond: Limit) -> None:
    program = keep(THEN + code)
    with pytest.raises(Beyond) as ended:
        program.ask(b"a", LIMITS)
    assert ended.value.limit is beyond
    program.close()
    assert not program.is_alive


def test_its_start_has_a_limit_of_its_own() -> None:
    program = keep("import time; time.sleep(60)")
    with pytest.raises(Beyond) as ended:
        program.ask(b"a", Limits(0.3, 20, 1, 1))
    assert ended.value.limit is Limit.START
    program.close()


@pytest.mark.parametrize(
    ("code", "how"),
    [("", 0), ("sys.exit(3)", 3), ("os.kill(os.getpid(), 9)", -9), ("os.close(1); time.sleep(60)", None)],
)
def test_how_it_ended_is_told(code: str, how: int | None) -> None:
    program = keep(THEN + code)
    with pytest.raises(Ended) as ended:
        program.ask(b"a", LIMITS)
    assert ended.value.code == how
    program.close()


def test_one_that_was_killed_meanwhile_is_known_to_be_gone(echo: KeptProgram) -> None:
    assert echo.ask(b"a", LIMITS) == b"a"
    os.kill(echo._process.pid, signal.SIGKILL)
    with pytest.raises(Ended):
        echo.ask(b"a", LIMITS)
    assert not echo.is_alive


def test_who_waits_is_told_when_another_thread_kills_it() -> None:
    program = keep(THEN + "time.sleep(60)")
    killing = threading.Timer(0.3, program.kill)
    killing.start()
    with pytest.raises(Ended):
        program.ask(b"a", Limits(20, 20, 10**9, 100))
    killing.join()
    program.close()


def test_many_leave_nothing_behind() -> None:
    def held() -> tuple[int, set[psutil.Process]]:
        return psutil.Process().num_fds(), set(psutil.Process().children())

    before = held()
    for _ in range(20):
        program = keep(ECHO)
        program.ask(b"a", LIMITS)
        program.close()
    for _ in range(5):
        keep("").close()
    files, children = held()
    assert files == before[0]
    assert children <= before[1]
