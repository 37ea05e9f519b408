"""The controller's own socket lies where nobody else gets, and one controller has it."""

import socket
import stat
from pathlib import Path

import pytest

from mlxhub.core.paths import Paths
from mlxhub.errors import StateUnwritable
from mlxhub.files.owner_socket import bind_owner_socket, check_private
from mlxhub.files.peers import peer_uid


def test_a_socket_is_private_and_taken_over_only_from_the_dead(tmp_path: Path) -> None:
    path = tmp_path / "run" / "hub.sock"
    first = bind_owner_socket(path)
    assert first is not None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert bind_owner_socket(path) is None
    first.close()
    second = bind_owner_socket(path)
    assert second is not None
    second.close()


@pytest.mark.parametrize("mode", [0o750, 0o701, 0o777])
def test_a_directory_that_others_may_enter_is_refused(tmp_path: Path, mode: int) -> None:
    directory = tmp_path / "run"
    directory.mkdir()
    directory.chmod(mode)
    with pytest.raises(StateUnwritable, match="nobody else may enter"):
        bind_owner_socket(directory / "hub.sock")


def test_a_link_in_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StateUnwritable):
        check_private(tmp_path / "run")


def test_the_kernel_names_the_other_end() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert peer_uid(ours) == Path("/proc/self").stat().st_uid


def test_the_address_of_the_socket_fits_whatever_the_home() -> None:
    def socket_of(state: str) -> Path:
        return Paths(*map(Path, ("/c", state, "/l", "/a", "/b", "/s"))).socket

    assert socket_of("/home/me/.local/state/mlxhub") == Path("/home/me/.local/state/mlxhub/run/hub.sock")
    long = [socket_of(f"/{'x' * 100}/{number}") for number in range(2)]
    assert all(len(bytes(path)) <= 103 for path in long)
    assert long[0] != long[1]
