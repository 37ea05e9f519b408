"""What a process was doing outlives it, however it ends, and only then."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mlxhub.core.flight import Flight, FlownRequest
from mlxhub.errors import StateUnwritable
from mlxhub.files.flight_record import MOST_REQUESTS, FlightRecord, read_flight

A, B = FlownRequest("aa" * 16, 300), FlownRequest("bb" * 16, 900)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "m.flight"


def test_what_is_in_flight_is_there_and_what_has_ended_is_not(path: Path) -> None:
    assert read_flight(path) == Flight()
    record = FlightRecord(path)
    assert read_flight(path) == Flight()
    record.note_memory(5, 7)
    first, second = record.begin(A), record.begin(B)
    assert set(read_flight(path).requests) == {A, B}
    record.end(first)
    assert read_flight(path) == Flight((B,), 5, 7)
    record.end(second)
    assert read_flight(path) == Flight((), 5, 7)
    assert path.stat().st_mode & 0o777 == 0o600


def test_it_outlives_a_kill(path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from mlxhub.core.flight import FlownRequest\n"
        "from mlxhub.files.flight_record import FlightRecord\n"
        "record = FlightRecord(Path(sys.argv[1])); record.begin(FlownRequest('aa' * 16, 300))\n"
        "os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], timeout=20, check=False)
    assert done.returncode == -signal.SIGKILL
    assert read_flight(path).requests == (A,)
    FlightRecord(path)
    assert read_flight(path).requests == ()


def test_once_final_nothing_changes_any_more(path: Path) -> None:
    record = FlightRecord(path)
    slot = record.begin(A)
    record.make_final()
    record.end(slot)
    record.begin(B)
    assert read_flight(path).requests == (A,)


def test_beyond_its_places_requests_are_served_and_not_written(path: Path) -> None:
    record = FlightRecord(path)
    slots = [record.begin(A) for _ in range(MOST_REQUESTS + 1)]
    assert slots[-1] is None
    for slot in slots:
        record.end(slot)
    assert read_flight(path) == Flight()


@pytest.mark.parametrize("content", [b"", b"nonsense" * 100, b"mlxhub1\n", b"mlxhub1\n" + b"\0" * 19])
def test_a_damaged_file_tells_nothing(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    assert read_flight(path) == Flight()


def test_where_nothing_can_be_written_that_is_said(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(StateUnwritable):
        FlightRecord(path)
    assert read_flight(path) == Flight()
