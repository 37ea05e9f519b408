"""Logs that rotate themselves, stay private and bounded, and are read without a gap."""

import os
import resource
import stat
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

import pytest

from mlxhub.core.log_space import HUB_BYTES, log_limit
from mlxhub.files import log_files
from mlxhub.files.log_files import LogFile, all_log_bytes, cut_to_last_words, keep_log_space, rotated_logs
from mlxhub.files.log_reading import LogReader, tail
from tests.eventually import eventually

MB = 1_000_000


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _sparse(path: Path, size: int, written_at: float = 1000.0) -> None:
    path.parent.mkdir(exist_ok=True)
    path.touch()
    os.truncate(path, size)
    os.utime(path, (written_at, written_at))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logs are rotated at 1000 bytes."""
    monkeypatch.setattr(log_files, "log_limit", lambda _programs: 1000)


def test_a_log_is_the_users_alone_also_one_that_was_not(tmp_path: Path) -> None:
    (tmp_path / "old.log").write_text("before\n")
    (tmp_path / "old.log").chmod(0o644)
    for name in ("old.log", "new.log"):
        LogFile(tmp_path / name).write(b"line\n")
        assert _mode(tmp_path / name) == 0o600
    assert (tmp_path / "old.log").read_text() == "before\nline\n"


@pytest.mark.usefixtures("small")
def test_a_full_log_is_rotated_and_no_line_is_lost(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "a.log")
    lines = [f"{number:099}\n".encode() for number in range(35)]
    for line in lines:
        log.write(line)
    files = [*rotated_logs(tmp_path / "a.log"), tmp_path / "a.log"]
    assert [path.stat().st_size for path in files] == [1000, 1000, 1000, 500]
    assert b"".join(path.read_bytes() for path in files) == b"".join(lines)
    assert {_mode(path) for path in files} == {0o600}


@pytest.mark.usefixtures("small")
def test_logs_of_models_with_similar_names_are_told_apart(tmp_path: Path) -> None:
    for name in ("a", "a.b", "a.log"):
        log = LogFile(tmp_path / f"{name}.log")
        for _ in range(11):
            log.write(b"x" * 100)
    assert [len(rotated_logs(tmp_path / f"{name}.log")) for name in ("a", "a.b", "a.log")] == [1, 1, 1]


def test_half_an_entry_on_a_full_disk_is_taken_back(tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk: both take what fits, then nothing."""
    log = LogFile(tmp_path / "a.log")
    log.write(b"one\n")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (9, before[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            log.write(b"much more than five bytes\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    log.write(b"two\n")
    assert (tmp_path / "a.log").read_bytes() == b"one\ntwo\n"


def test_a_log_that_is_removed_while_it_is_written_is_begun_anew(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "a.log")
    log.write(b"one\n")
    (tmp_path / "a.log").unlink()
    log.write(b"two\n")
    assert (tmp_path / "a.log").read_bytes() == b"two\n"


def test_a_log_whose_directory_is_gone_does_not_bring_it_back(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    log = LogFile(tmp_path / "logs" / "a.log")
    (tmp_path / "logs" / "a.log").unlink()
    (tmp_path / "logs").rmdir()
    log.write(b"last\n")
    assert not (tmp_path / "logs").exists()


def test_100_models_that_log_a_lot_stay_within_the_limit(tmp_path: Path) -> None:
    """Each has a full log, ten rotated ones and last words beyond any measure, and then they log on."""
    for number in range(100):
        _sparse(tmp_path / f"m{number}.log", log_limit(100))
        _sparse(tmp_path / "stdio" / f"m{number}.log", 20 * MB)
        for old in range(10):
            _sparse(tmp_path / f"m{number}.log.20261120T10000{old}.000000", MB, written_at=1000.0 + old)
    assert all_log_bytes(tmp_path) > 3 * HUB_BYTES
    for number in range(100):
        LogFile(tmp_path / f"m{number}.log").write(b"one more\n")
    assert all_log_bytes(tmp_path) <= HUB_BYTES
    # The latest were kept: those just rotated, and of the others the later ones.
    kept = sorted(path.name for path in rotated_logs(tmp_path / "m99.log"))
    assert len(kept) >= 1
    assert "m99.log.20261120T100000.000000" not in kept


def test_in_a_small_hub_rotated_logs_are_kept_as_long_as_there_is_room(tmp_path: Path) -> None:
    _sparse(tmp_path / "a.log", MB)
    for old in range(15):
        _sparse(tmp_path / f"a.log.20261120T1000{old:02}.000000", 25 * MB, written_at=1000.0 + old)
    keep_log_space(tmp_path)
    assert len(rotated_logs(tmp_path / "a.log")) == 15


def test_what_launchd_made_readable_for_others_becomes_private(tmp_path: Path) -> None:
    _sparse(tmp_path / "stdio" / "a.log", 10)
    (tmp_path / "stdio" / "a.log").chmod(0o644)
    keep_log_space(tmp_path)
    assert _mode(tmp_path / "stdio" / "a.log") == 0o600


def test_no_directory_needs_no_room(tmp_path: Path) -> None:
    keep_log_space(tmp_path / "missing")
    assert not (tmp_path / "missing").exists()


def test_last_words_are_cut_under_a_process_that_goes_on_writing(tmp_path: Path) -> None:
    path = tmp_path / "stdio.log"
    program = "import sys\nfor line in sys.stdin: print('line', line.strip(), flush=True)"
    with path.open("ab") as file:
        writer = subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=file, text=True
        )
    assert writer.stdin is not None
    with writer:
        for number in range(1000):
            writer.stdin.write(f"{number}\n")
        writer.stdin.flush()
        eventually(lambda: path.read_bytes().endswith(b"line 999\n"))
        assert cut_to_last_words(path, limit=5_000, keep=100)
        assert path.stat().st_size == 0
        writer.stdin.write("after\n")
    assert path.read_bytes() == b"line after\n"  # at the new end: no hole before it
    kept = tmp_path / "stdio.log.1"
    assert kept.read_text().splitlines()[-2:] == ["line 998", "line 999"]
    assert kept.read_text().startswith("line ")
    assert kept.stat().st_size <= 100
    assert _mode(kept) == 0o600
    assert not cut_to_last_words(path, limit=5_000, keep=100)


@pytest.mark.usefixtures("small")
def test_a_reader_that_follows_gets_every_line_once_across_rotations(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "a.log")
    lines = [f"{number:099}\n".encode() for number in range(300)]
    for line in lines[:25]:
        log.write(line)
    reader = LogReader(tmp_path / "a.log")
    seen = reader.last_lines(15)
    assert seen == b"".join(lines[10:25])
    written = 25
    for burst in (0, 1, 9, 40, 3, 100, 122):  # between two looks: nothing, a line, several rotations
        for line in lines[written : written + burst]:
            log.write(line)
        written += burst
        seen += b"".join(reader.more())
    assert seen == b"".join(lines[10:])


@pytest.mark.usefixtures("small")
def test_a_reader_whose_file_was_dropped_goes_on_with_what_is_left(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "a.log")
    log.write(b"first\n")
    reader = LogReader(tmp_path / "a.log")
    assert reader.last_lines(10) == b"first\n"
    for number in range(30):
        log.write(f"{number:099}\n".encode())
    rotated_logs(tmp_path / "a.log")[0].unlink()
    seen = b"".join(reader.more()).splitlines()
    assert seen[-1] == b"%099d" % 29
    assert len(seen) == len(set(seen))


def test_a_reader_follows_a_file_that_is_cut_and_one_that_is_not_there_yet(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    reader = LogReader(path)
    assert reader.last_lines(5) == b""
    assert list(reader.more()) == []
    path.write_bytes(b"one\ntwo\n")
    assert b"".join(reader.more()) == b"one\ntwo\n"
    os.truncate(path, 0)
    assert list(reader.more()) == []
    with path.open("ab") as file:
        file.write(b"x\n")
    assert b"".join(reader.more()) == b"x\n"


@pytest.mark.usefixtures("small")
def test_a_line_written_just_before_the_rotation_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the moment between the reader's last read and its look for the next file."""
    log = LogFile(tmp_path / "a.log")
    log.write(b"one\n")
    reader = LogReader(tmp_path / "a.log")
    assert reader.last_lines(5) == b"one\n"
    look_for_next = LogReader._next
    late = iter([b"x" * 900 + b"\n", b"y" * 200 + b"\n"])

    def rotates_meanwhile(own: LogReader) -> BinaryIO | None:
        for line in late:
            log.write(line)
        return look_for_next(own)

    monkeypatch.setattr(LogReader, "_next", rotates_meanwhile)
    assert b"".join(reader.more()) == b"x" * 900 + b"\n" + b"y" * 200 + b"\n"
    assert len(rotated_logs(tmp_path / "a.log")) == 1


def test_lines_are_quoted_also_from_what_was_cut_off_and_never_without_end(tmp_path: Path) -> None:
    path = tmp_path / "stdio.log"
    assert tail(path, 5) == []
    path.write_bytes(b"one\ntwo\nthree\n")
    assert cut_to_last_words(path, limit=10, keep=10)
    assert tail(path, 5) == ["three"]
    path.write_bytes(b"four \xff\n")
    assert tail(path, 2) == ["three", "four \ufffd"]
    path.write_bytes(b"x" * MB)
    assert [len(line) for line in tail(path, 5)] == [32_768]
