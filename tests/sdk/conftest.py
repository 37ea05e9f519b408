"""One worker with the demo model for every client, and nobody else whom they may ask."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.worker.processes import Worker, running_worker


@pytest.fixture(scope="package")
def worker() -> Iterator[Worker]:
    """One place, and one to wait in: a request for two answers fills it. Tests leave it idle."""
    with running_worker(name="demo", model_path="builtin:demo", max_concurrency=1, queue_size=1) as running:
        assert running.post("/load").status_code == 200
        yield running


@pytest.fixture(autouse=True)
def _nobody_else_is_asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Some clients tell their makers, or look up prices, unless that is switched off."""
    looked_up: set[object] = set()
    look_up = socket.getaddrinfo

    def watched(host: object, *arguments: Any, **options: Any) -> Any:
        looked_up.add(host)
        return look_up(host, *arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(socket, "getaddrinfo", watched)
    yield
    assert looked_up <= {"127.0.0.1"}
