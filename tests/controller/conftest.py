from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.controller.hub import ALPHA, BETA, RunningHub, running_hub


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[RunningHub]:
    """Two models, both running."""
    async with running_hub(tmp_path, ALPHA, BETA) as running:
        yield running
