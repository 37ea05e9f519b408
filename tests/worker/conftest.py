"""A random model, one that sees, and workers that serve them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.worker.processes import RunWorker, Worker, make_random_model, running_worker

CACHE = Path(__file__).parents[2] / ".cache"


@pytest.fixture(scope="session")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_random_model(tmp_path_factory.mktemp("models") / "random")


@pytest.fixture(scope="module")
def worker(random_model: Path) -> Iterator[Worker]:
    """One worker with the random model, loaded, for all tests of a module that leave it as it was."""
    with running_worker(model_path=str(random_model), max_concurrency=8, queue_size=2) as running:
        assert running.post("/load").status_code == 200
        yield running


@pytest.fixture(scope="module")
def seer() -> Iterator[Worker]:
    """One worker with the model that names colours, as `worker`."""
    from tests.models.vision import cached_vision_model

    with running_worker(model_path=str(cached_vision_model(CACHE)), request_timeout=60) as running:
        assert running.post("/load").status_code == 200
        yield running


@pytest.fixture
def run_worker() -> RunWorker:
    return running_worker
