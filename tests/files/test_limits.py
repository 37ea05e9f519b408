"""The file by which workers know what they may take."""

from pathlib import Path

import pytest

from mlxhub.core.limits import NO_LIMITS, GroupLimit, HubLimits, ModelLimit
from mlxhub.errors import StateUnreadable
from mlxhub.files.limits import read_limits, write_limits

LIMITS = HubLimits(
    memory_bytes=48_000_000_000,
    groups=(GroupLimit("large", 2, None),),
    models={"a": ModelLimit("large", 3_000_000_000, pinned=False), "b": ModelLimit(None, None, pinned=False)},
)


def test_limits_are_read_as_they_were_written(tmp_path: Path) -> None:
    write_limits(tmp_path / "limits.json", LIMITS)
    assert read_limits(tmp_path / "limits.json") == LIMITS


def test_without_a_file_there_are_none(tmp_path: Path) -> None:
    assert read_limits(tmp_path / "limits.json") == NO_LIMITS


@pytest.mark.parametrize(
    "damaged",
    [
        "",
        "{}",
        "[]",
        '{"memory_bytes": 5, "groups": []}',
        '{"memory_bytes": 0, "groups": [], "models": {}}',
        '{"memory_bytes": 5, "groups": [{"name": "a", "max_loaded": 0}], "models": {}}',
        '{"memory_bytes": 5, "groups": [{"name": "a"}], "models": {}}',
        '{"memory_bytes": "auto", "groups": [], "models": {}}',
    ],
)
def test_a_damaged_file_is_never_taken_for_no_limits(tmp_path: Path, damaged: str) -> None:
    (tmp_path / "limits.json").write_text(damaged)
    with pytest.raises(StateUnreadable, match=r"limits\.json cannot be read"):
        read_limits(tmp_path / "limits.json")
