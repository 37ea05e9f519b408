"""The launcher under every sh there is: it becomes a Python that works, and tells of one that does not."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from mlxhub.core.paths import Paths
from mlxhub.files.launcher import ROLES, START_CHECK, install_launchers, remove_launchers
from mlxhub.files.runs import LAUNCHER_MARK
from tests.eventually import eventually

SHELLS = [
    shell for shell in ("/bin/sh", "/bin/dash", "/bin/bash", "/bin/ksh", "/bin/zsh") if Path(shell).exists()
]
SHELLS += [f"{busybox} sh" for busybox in [shutil.which("busybox")] if busybox]
PRINT_ARGUMENTS = "import os, sys; print(os.getpid()); print(sys.argv[1:])"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A path with what a shell would trip over."""
    place = tmp_path / "an odd 'place' with \"quotes\" & $(spaces)"
    place.mkdir()
    return place


def launch(
    shell: str, place: Path, python: Path, *arguments: str
) -> tuple[int, subprocess.CompletedProcess[str]]:
    """The pid that was started, and what came of it."""
    process = begin(shell, place, python, *arguments)
    out, err = process.communicate(timeout=30)
    return process.pid, subprocess.CompletedProcess(process.args, process.returncode, out, err)


def begin(shell: str, place: Path, python: Path, *arguments: str) -> "subprocess.Popen[str]":
    """PATH leads nowhere: nothing is looked up."""
    launcher = place / "bin" / "mlxhub-worker"
    launcher.parent.mkdir(exist_ok=True)
    shutil.copy(Path(install_launchers.__code__.co_filename).parents[1] / "launcher" / "launch.sh", launcher)
    note = place / "state" / "parked" / "m.txt"
    command = [*shell.split(), str(launcher), str(note), str(python), *arguments]
    return subprocess.Popen(
        command, env={"PATH": "/nowhere"}, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def python_at(place: Path) -> Path:
    python = place / "python"
    if not python.is_symlink():
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        python.chmod(0o755)
    return python


def stub(place: Path, script: str) -> Path:
    """In place of Python."""
    python = place / "stub"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    return python


def note_of(place: Path) -> Path:
    return place / "state" / "parked" / "m.txt"


@pytest.mark.parametrize("shell", SHELLS)
def test_it_becomes_python_with_its_arguments_untouched(shell: str, place: Path) -> None:
    odd = ["-I", "-c", PRINT_ARGUMENTS, '{"a": "b c"}', "", "*", "$HOME", "it's"]
    pid, done = launch(shell, place, python_at(place), *odd)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [str(pid), str(odd[3:])]
    assert not note_of(place).exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_the_exit_code_is_pythons(shell: str, place: Path) -> None:
    _, done = launch(shell, place, python_at(place), "-c", "raise SystemExit(70)")
    assert done.returncode == 70


@pytest.mark.parametrize("shell", SHELLS)
def test_a_python_that_is_gone_leaves_a_note_and_exit_0(shell: str, place: Path) -> None:
    dangling = place / "gone python"
    dangling.symlink_to(place / "removed by an upgrade")
    _, done = launch(shell, place, dangling, "-m", "mlxhub")
    assert done.returncode == 0
    first, *_ = note_of(place).read_text().splitlines()
    assert first == (
        f"mlxhub's Python environment does not work any more ({dangling}, exit 127). "
        "Run scripts/install again, or mlxhub install from an environment that works."
    )
    assert first in done.stderr
    assert list(note_of(place).parent.iterdir()) == [note_of(place)]
    assert note_of(place).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("shell", SHELLS)
def test_what_it_becomes_knows_which_note_keeps_it_down(shell: str, place: Path) -> None:
    _, done = launch(
        shell, place, python_at(place), "-c", "import os; print(os.environ['MLXHUB_NOTE'], end='')"
    )
    assert done.stdout == str(note_of(place))


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("death", ["exit 3", "kill -9 $$", "kill -7 $$"])
def test_a_check_that_may_succeed_next_time_is_left_to_launchd(shell: str, death: str, place: Path) -> None:
    _, done = launch(shell, place, stub(place, death), "-m", "mlxhub")
    assert done.returncode != 0
    assert "The check of " in done.stderr
    assert not note_of(place).exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_an_interpreter_whose_library_is_gone_is_told(shell: str, place: Path) -> None:
    """macOS ends it with SIGABRT."""
    _, done = launch(shell, place, stub(place, "echo 'Library not loaded' >&2\nkill -ABRT $$"))
    assert done.returncode == 0
    assert "Library not loaded" in note_of(place).read_text()


@pytest.mark.parametrize("shell", SHELLS)
def test_a_stop_during_the_check_holds_and_leaves_nothing_behind(shell: str, place: Path) -> None:
    checking = place / "checking"
    process = begin(shell, place, stub(place, 'echo $$ >"${0%/*}/checking"\n/bin/sleep 1'), "-m", "x")
    process_of_check = int(eventually(lambda: checking.exists() and checking.read_text(), 10))
    process.terminate()
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "", "")
    assert not psutil.pid_exists(process_of_check)


def test_what_is_checked_is_what_doctor_checks(place: Path) -> None:
    _, done = launch("/bin/sh", place, stub(place, 'echo "$3" >&2\nexit 1'))
    assert done.stderr.splitlines()[1] == START_CHECK


@pytest.mark.parametrize("package", ["click", "pydantic", "loguru", "psutil"])
def test_a_package_that_a_start_needs_and_that_is_broken_is_told(package: str, place: Path) -> None:
    (place / f"{package}.py").write_text("raise ImportError('it is broken')\n")
    code = f'cd "${{0%/*}}" && shift && exec "{sys.executable}" "$@"  # without -I: from here'
    _, done = launch("/bin/sh", place, stub(place, code), "-m", "mlxhub")
    assert done.returncode == 0
    assert "it is broken" in note_of(place).read_text()


def test_a_python_without_mlxhub_says_what_it_said(place: Path) -> None:
    bare = place / "bare"
    bare.write_text("#!/bin/sh\necho \"ModuleNotFoundError: No module named 'mlxhub'\" >&2\nexit 1\n")
    bare.chmod(0o755)
    _, done = launch("/bin/sh", place, bare)
    assert done.returncode == 0
    assert "exit 1)" in note_of(place).read_text().splitlines()[0]
    assert "No module named 'mlxhub'" in note_of(place).read_text()


@pytest.mark.parametrize("shell", SHELLS)
def test_its_own_note_goes_when_python_works_again(shell: str, place: Path) -> None:
    launch(shell, place, place / "missing")
    assert note_of(place).exists()
    _, done = launch(shell, place, python_at(place), "-c", "print(1)")
    assert (done.stdout, done.stderr) == ("1\n", "")
    assert not note_of(place).exists()


@pytest.mark.parametrize("text", ["", "one line without an end", "Model x died.\nLast end: exit 1\n"])
def test_a_note_of_another_kind_stays(text: str, place: Path) -> None:
    note_of(place).parent.mkdir(parents=True)
    note_of(place).write_text(text)
    _, done = launch("/bin/sh", place, python_at(place), "-c", "print(1)")
    assert (done.stdout, done.stderr) == ("1\n", "")
    assert note_of(place).read_text() == text


@pytest.mark.parametrize("text", ["", "one line without an end", "Model x died.\nLast end: exit 1\n"])
def test_a_python_that_is_gone_does_not_replace_a_note_of_another_kind(text: str, place: Path) -> None:
    note_of(place).parent.mkdir(parents=True)
    note_of(place).write_text(text)
    _, done = launch("/bin/sh", place, place / "missing")
    assert (done.returncode, note_of(place).read_text()) == (0, text)
    assert "does not work any more" in done.stderr
    note_of(place).write_text(f"Gone.\n{LAUNCHER_MARK}\nAs of yesterday.\n")
    launch("/bin/sh", place, place / "missing")
    assert "As of yesterday." not in note_of(place).read_text()


def test_a_note_that_cannot_be_written_still_ends_with_exit_0(place: Path) -> None:
    (place / "state").write_text("a file where the directory should be")
    _, done = launch("/bin/sh", place, place / "missing")
    assert done.returncode == 0
    assert "does not work any more" in done.stderr


def test_launchers_are_installed_once_and_repaired(paths: Paths) -> None:
    assert install_launchers(paths)
    assert not install_launchers(paths)
    assert install_launchers(paths, force=True)
    for role in ROLES:
        assert os.access(paths.launcher(role), os.X_OK)
        assert paths.launcher(role).stat().st_mode & 0o777 == 0o755
    paths.launcher("worker").chmod(0o644)
    assert install_launchers(paths)
    paths.launcher("worker").write_text("#!/bin/sh\nexit 1\n")
    assert install_launchers(paths)
    target = paths.programs / "elsewhere"
    paths.launcher("worker").unlink()
    paths.launcher("worker").symlink_to(target)
    assert install_launchers(paths)
    assert not target.exists()
    assert not install_launchers(paths)
    remove_launchers(paths)
    remove_launchers(paths)
    assert list(paths.programs.iterdir()) == []
