"""What goes wrong while a model comes, in words."""

import errno

import pytest

from mlxhub.registry.hub_faults import Failed, told_as_disk_faults, told_as_faults_of


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fills_up_on_the_way_is_said_to_be_full(number: int) -> None:
    with (
        pytest.raises(Failed, match=r"disk of the cache is full.*goes on from there") as failed,
        told_as_faults_of("a/b"),
    ):
        raise OSError(number, "no room")
    assert failed.value.code == "disk_full"
    with pytest.raises(Failed, match="is full"), told_as_disk_faults():
        raise OSError(number, "no room", "/cache/blobs/0")


def test_a_file_that_cannot_be_written_is_named() -> None:
    with (
        pytest.raises(Failed, match="/cache/blobs/0 cannot be written: Permission denied") as failed,
        told_as_faults_of("a/b"),
    ):
        raise PermissionError(errno.EACCES, "Permission denied", "/cache/blobs/0")
    assert failed.value.code == "disk"


def test_a_connection_that_breaks_is_no_fault_of_the_disk() -> None:
    with pytest.raises(Failed, match="Not all of a/b came: reset") as failed, told_as_faults_of("a/b"):
        raise OSError("reset")
    assert failed.value.code == "broken_off"
