"""A good model, to be spoiled."""

from pathlib import Path

import pytest

from tests.registry.models import demo_copy


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return demo_copy(tmp_path / "model")
