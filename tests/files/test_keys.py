"""Keys on disk: private, made once, replaced at once."""

import stat
import time
from pathlib import Path

import pytest

from mlxhub.core.keys import is_known, is_ticket_for, make_proof
from mlxhub.errors import StateUnreadable
from mlxhub.files.keys import (
    ALL,
    KeyFile,
    WorkerTrust,
    current_key,
    key_file,
    make_keys,
    read_keys,
    rotate_key,
)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    make_keys(tmp_path / "keys")
    return tmp_path / "keys"


def test_keys_are_for_their_user_alone_and_all_different(directory: Path) -> None:
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(key_file(directory, which).stat().st_mode) for which in ALL} == {0o600}
    made = {current_key(directory, which) for which in ALL}
    assert len(made) == 3
    assert all(key.startswith("mlxh_") and len(key) == 48 for key in made)


def test_keys_that_are_there_stay_and_one_that_is_gone_is_made(directory: Path) -> None:
    before = {which: current_key(directory, which) for which in ALL}
    key_file(directory, "admin").unlink()
    make_keys(directory)
    after = {which: current_key(directory, which) for which in ALL}
    assert {which for which in ALL if before[which] != after[which]} == {"admin"}


def test_a_rotated_key_is_in_force_at_once_and_the_old_one_for_as_long_as_said(directory: Path) -> None:
    running, old = KeyFile(directory, "api"), current_key(directory, "api")
    now = time.time()
    assert is_known(old.encode(), running.current(), now)
    new = rotate_key(directory, "api", keep_until=now + 60)
    assert is_known(new.encode(), running.current(), now)
    assert is_known(old.encode(), running.current(), now)
    assert not is_known(old.encode(), running.current(), now + 60)
    rotate_key(directory, "api", keep_until=None)
    assert len(read_keys(directory, "api")) == 1
    assert not is_known(new.encode(), running.current(), now)


@pytest.mark.parametrize("content", [None, b"", b"{", b'[{"secret": 1}]'])
def test_with_a_key_file_that_is_gone_or_damaged_nobody_gets_in(
    directory: Path, content: bytes | None
) -> None:
    running = KeyFile(directory, "api")
    key = current_key(directory, "api")
    assert running.current()
    if content is None:
        key_file(directory, "api").unlink()
    else:
        key_file(directory, "api").write_bytes(content)
    assert not is_known(key.encode(), running.current(), time.time())
    with pytest.raises(StateUnreadable):
        current_key(directory, "api")


def test_tickets_are_made_once_for_a_while(directory: Path) -> None:
    now = [1_000_000.0]
    trust = WorkerTrust(directory, lambda: now[0])
    ((name, first),) = trust.sign("GET", 47850, b"/status")
    secret = current_key(directory, "worker")
    assert name == b"authorization"
    assert is_ticket_for([first], secret, "GET", 47850, "/status", now[0])
    now[0] += 9
    assert trust.sign("GET", 47850, b"/status") == [(name, first)]
    now[0] += 2
    assert trust.sign("GET", 47850, b"/status") != [(name, first)]
    assert trust.sign("GET", 47851, b"/status") != trust.sign("GET", 47850, b"/status")


def test_without_a_key_nothing_is_signed(tmp_path: Path) -> None:
    assert WorkerTrust(tmp_path / "keys").sign("GET", 1, b"/status") == []
    assert not WorkerTrust(tmp_path / "keys").is_worker(1, "aa", make_proof("", 1, "aa"))


def test_a_worker_is_known_by_its_proof_also_after_a_rotation(directory: Path) -> None:
    trust = WorkerTrust(directory)
    old = current_key(directory, "worker")
    assert trust.is_worker(47850, "aa", make_proof(old, 47850, "aa"))
    new = rotate_key(directory, "worker", keep_until=None)
    assert trust.is_worker(47850, "aa", make_proof(new, 47850, "aa"))
    assert not trust.is_worker(47850, "aa", make_proof(old, 47850, "aa"))
