"""Small files are whole or not there."""

import stat
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from mlxhub.errors import StateUnreadable
from mlxhub.files.state import read_state, write_atomically, write_state

NUMBERS = TypeAdapter(dict[str, int])


def test_what_is_written_is_read_and_private(tmp_path: Path) -> None:
    path = tmp_path / "new" / "state.json"
    write_state(path, NUMBERS, {"demo": 47850})
    assert read_state(path, NUMBERS, {}) == {"demo": 47850}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_file_that_is_not_there_is_the_default(tmp_path: Path) -> None:
    assert read_state(tmp_path / "none.json", NUMBERS, {"a": 1}) == {"a": 1}


@pytest.mark.parametrize("content", ["", "{", '{"a": "x"}', "\x00\xff"])
def test_a_damaged_file_says_what_to_do(tmp_path: Path, content: str) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(StateUnreadable, match="Move it away"):
        read_state(path, NUMBERS, {})


def test_a_write_that_fails_leaves_the_old_content_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    write_atomically(path, b"old")
    with pytest.raises(TypeError):
        write_atomically(path, "text is not bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
