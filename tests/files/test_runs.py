"""Histories and notes on disk, and one run after the other with programs that are only functions."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import mlxhub.files.runs
from mlxhub.core.restarts import Run
from mlxhub.errors import MlxhubError, StateUnreadable, StateUnwritable
from mlxhub.files.recorded_run import Ending, run_recorded
from mlxhub.files.runs import (
    LAUNCHER_MARK,
    NOTE_VARIABLE,
    hold_run_lock,
    is_alive,
    keep_down,
    lasting_reason,
    make_new_beginning,
    park,
    parked_reason,
    read_runs,
    tail,
    write_runs,
)
from tests.eventually import eventually
from tests.fakes.run_files import run_files_in

NOW = 1_700_000_000.0


def nothing_known() -> str | None:
    return None


def killed() -> str | None:
    return "signal Killed"


def no_log() -> None:
    """What programs log goes where it went."""


def never() -> Ending:
    raise AssertionError("a parked program does not run")


class Life:
    """Runs of one process. Each is over, its lock too, when `run` returns: that is done in a child."""

    def __init__(self, directory: Path) -> None:
        self.files = run_files_in(directory, "m")
        self.now = NOW

    def run(
        self,
        program: Callable[[], Ending],
        last_exit: Callable[[], str | None] = nothing_known,
        open_log: Callable[[], None] = no_log,
    ) -> int:
        pid = os.fork()
        if pid == 0:
            code = 99
            try:
                ending = run_recorded(
                    self.files,
                    program,
                    open_log=open_log,
                    last_exit=last_exit,
                    predecessor_seconds=0.3,
                    wall_clock=lambda: self.now,
                )
                code = ending.exit_code
            finally:
                os._exit(code)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def die(self, last_exit: Callable[[], str | None] = killed) -> int:
        def program() -> Ending:
            os.kill(os.getpid(), 9)
            raise AssertionError

        code = self.run(program, last_exit)
        self.now += 10
        return code


@pytest.fixture
def life(tmp_path: Path) -> Life:
    return Life(tmp_path)


def test_a_run_that_ends_is_written_down_with_its_code_and_reason(life: Life) -> None:
    assert life.run(lambda: Ending(70, "the engine is wedged")) == 70
    (run,) = read_runs(life.files)
    assert (run.started_at, run.ended_at, run.ending, run.reason, run.exact) == (
        NOW, NOW, "exit 70", "the engine is wedged", True,
    )  # fmt: skip
    assert not is_alive(life.files)


def test_an_error_that_nobody_caught_is_an_end_with_a_reason(life: Life) -> None:
    def program() -> Ending:
        raise MlxhubError("hub.yaml is odd")

    assert life.run(program) == 99
    assert (read_runs(life.files)[0].ending, read_runs(life.files)[0].reason) == (
        "exit 1",
        "MlxhubError: hub.yaml is odd",
    )


def test_a_log_that_cannot_be_opened_is_an_end_like_any_other_and_parks(life: Life) -> None:
    def fail() -> None:
        raise StateUnwritable("/logs/m.log", "Permission denied")

    for _ in range(5):
        assert life.run(never, open_log=fail) == 99
    assert {(run.ending, run.reason) for run in read_runs(life.files)} == {
        ("exit 1", "StateUnwritable: /logs/m.log cannot be written: Permission denied.")
    }
    assert life.run(never, open_log=fail) == 0
    assert life.files.parked.read_text().splitlines()[1] == (
        "Last end: exit 1, 0 s after its start: "
        "StateUnwritable: /logs/m.log cannot be written: Permission denied."
    )


def test_a_killed_run_is_written_down_by_the_next_with_what_launchd_says(life: Life) -> None:
    assert life.die() == -9
    assert life.run(lambda: Ending(0), killed) == 0
    first, second = read_runs(life.files)
    assert (first.ended_at, first.ending, first.exact) == (NOW + 10, "signal Killed", False)
    assert (second.ending, second.exact) == ("exit 0", True)


def test_launchd_is_asked_only_after_a_run_without_an_end(life: Life) -> None:
    def refuse() -> str | None:
        raise AssertionError("nobody needs to know")

    life.run(lambda: Ending(0), refuse)
    assert life.run(lambda: Ending(0), refuse) == 0


def test_after_five_quick_deaths_the_sixth_start_parks_with_evidence(life: Life) -> None:
    life.files.last_words.parent.mkdir(parents=True)
    life.files.log.write_text("".join(f"line {number}\n" for number in range(100)))
    life.files.last_words.write_text("libmlx: terminating due to an uncaught exception\n")
    for _ in range(5):
        assert life.die() == -9
    assert life.run(never, killed) == 0
    reason, last, *evidence = life.files.parked.read_text().splitlines()
    assert reason == parked_reason(life.files)
    assert reason == (
        'Model "m" died 5 times in 10 minutes (last: signal Killed, at most 10 s after its start) and stays '
        "down. See mlxhub logs m, then: mlxhub start-model m"
    )
    assert last == "Last end: signal Killed, at most 10 s after its start"
    assert evidence[0] == f"--- {life.files.log}"
    assert evidence[1:21] == [f"line {number}" for number in range(80, 100)]
    assert evidence[21:] == [
        f"--- {life.files.last_words}",
        "libmlx: terminating due to an uncaught exception",
    ]


def test_a_note_keeps_it_down_until_a_person_makes_a_new_beginning(life: Life) -> None:
    park(life.files, "It stays down.", None)
    life.now += 86_400
    assert life.run(never) == 0
    make_new_beginning(life.files)
    assert parked_reason(life.files) is None
    assert life.run(lambda: Ending(70)) == 70


def test_a_new_beginning_forgets_the_deaths(life: Life) -> None:
    for _ in range(5):
        life.die()
    make_new_beginning(life.files)
    for _ in range(4):
        assert life.die() == -9
    assert life.run(lambda: Ending(70)) == 70
    assert [run.died for run in read_runs(life.files)] == [True] * 10
    life.files.runs.write_text("nonsense")
    make_new_beginning(life.files)
    assert read_runs(life.files) == ()


@pytest.mark.parametrize("code", [0, 75])
def test_a_stop_and_a_held_port_never_park(life: Life, code: int) -> None:
    for _ in range(8):
        assert life.run(lambda: Ending(code)) == code


def test_a_stop_that_comes_before_the_program_listens_for_it_is_no_death(life: Life) -> None:
    def program() -> Ending:
        os.kill(os.getpid(), 15)
        raise AssertionError

    life.run(program)
    (run,) = read_runs(life.files)
    assert (run.ending, run.died) == ("exit 0", False)


def test_a_predecessor_that_stays_keeps_the_next_one_down_and_is_named(life: Life) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", "import fcntl, sys; f = open(sys.argv[1], 'a'); fcntl.flock(f, 2); "
         "print(1, flush=True); sys.stdin.read()", life.files.lock],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=_made(life.files.lock.parent),
    )  # fmt: skip
    assert holder.stdout is not None
    holder.stdout.readline()
    write_runs(life.files, (Run(pid=holder.pid, started_at=NOW - 50),))
    assert is_alive(life.files)
    assert life.run(never) == 0
    reason = parked_reason(life.files) or ""
    assert reason.startswith(
        f'Model "m" does not start: its last process (pid {holder.pid}) is still there after 0.3 s and holds '
    )
    assert reason.endswith(
        f"End it with: kill -9 {holder.pid}; if it stays even so, restart this machine. "
        "Then: mlxhub start-model m"
    )
    holder.communicate(timeout=10)
    make_new_beginning(life.files)
    assert life.run(lambda: Ending(0)) == 0


def test_children_do_not_keep_the_lock(life: Life) -> None:
    """Neither one that is forked nor one that runs another program; both outlive this run."""

    def program() -> Ending:
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3)"], close_fds=False)
        if os.fork() == 0:
            os.execv(sys.executable, [sys.executable, "-c", "import time; time.sleep(3)"])
        if os.fork() == 0:
            import time

            time.sleep(3)
            os._exit(0)
        return Ending(70)

    assert life.run(program) == 70
    eventually(lambda: not is_alive(life.files))  # a forked child lets go when it gets to run
    assert life.run(lambda: Ending(71)) == 71


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"a": 1}', b'[{"pid": "x"}]'])
def test_a_history_that_makes_no_sense_is_none_and_is_replaced(life: Life, content: bytes) -> None:
    life.files.runs.parent.mkdir(parents=True)
    life.files.runs.write_bytes(content)
    with pytest.raises(StateUnreadable):
        read_runs(life.files)
    assert life.run(lambda: Ending(70)) == 70
    assert [run.ending for run in read_runs(life.files)] == ["exit 70"]


def test_a_history_that_cannot_be_written_keeps_nobody_from_running(life: Life) -> None:
    life.files.runs.parent.write_text("a file where the directory should be")
    assert life.run(lambda: Ending(70)) == 70


def test_an_empty_note_is_a_note(life: Life) -> None:
    life.files.parked.parent.mkdir(parents=True)
    life.files.parked.touch()
    assert parked_reason(life.files) == f"It is parked, see {life.files.parked}"


def test_only_a_launchers_note_may_heal_by_itself(life: Life) -> None:
    assert lasting_reason(life.files) is None
    park(life.files, "It died.", "exit 1")
    assert lasting_reason(life.files) == "It died."
    life.files.parked.write_text(f"Python is gone.\n{LAUNCHER_MARK}\n")
    assert (parked_reason(life.files), lasting_reason(life.files)) == ("Python is gone.", None)
    script = Path(mlxhub.files.runs.__file__).parents[1] / "launcher" / "launch.sh"
    assert f"mark='{LAUNCHER_MARK}'" in script.read_text()
    assert f"export {NOTE_VARIABLE}\n" in script.read_text()


def test_a_note_that_is_there_is_not_replaced_by_one_that_knows_less(life: Life) -> None:
    keep_down(life.files.parked, "Its plist is odd.")
    assert (parked_reason(life.files), lasting_reason(life.files)) == ("Its plist is odd.",) * 2
    keep_down(life.files.parked, "Its plist is odder.")
    assert parked_reason(life.files) == "Its plist is odd."


def test_the_lock_is_one_process_at_a_time(life: Life) -> None:
    held = hold_run_lock(life.files)
    assert held is not None
    assert hold_run_lock(life.files) is None
    assert is_alive(life.files)
    os.close(held)
    assert not is_alive(life.files)


def test_the_tail_of_a_large_log_is_read_from_its_end(tmp_path: Path) -> None:
    log = tmp_path / "m.log"
    log.write_bytes(b"\xff\n" * 200_000 + b"last but one\nlast\n")
    assert tail(log, 2) == ["last but one", "last"]
    assert tail(tmp_path / "missing", 2) == []


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True)
    return directory
