"""The hub as commands find it: quickly, whatever its disks do."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from mlxhub.cli.local_hub import open_hub
from mlxhub.core.paths import Paths
from mlxhub.files import hub_yaml
from mlxhub.files.machine import this_machine


def test_model_directories_are_looked_for_only_where_warnings_are_shown(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []

    def look(places: Sequence[str], _seconds: float) -> dict[str, bool | None]:
        looked.extend(places)
        return dict.fromkeys(places)

    monkeypatch.setattr(hub_yaml, "are_directories", look)
    paths.config.write_text("models:\n  - {name: a, model_path: /disk/a}\n")
    local = open_hub(replace(this_machine(), paths=paths))
    assert (local.config.models[0].name, looked) == ("a", [])
    assert ["did not end" in warning for warning in local.warnings] == [True]
    assert looked == ["/disk/a"]
