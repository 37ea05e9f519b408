"""A worker without a free place, and generations whose client does not wait for their end."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from mlxhub.protocol.errors import RETRY_AFTER_SECONDS
from tests.eventually import eventually
from tests.sdk.asked import NEVER_STOP, user
from tests.worker.processes import Worker

Hooks = dict[str, list[Callable[..., Any]]]


@contextmanager
def full_queue(worker: Worker) -> Iterator[Hooks]:
    """Its places are taken until a client with these hooks has been refused one."""
    asked = {"model": "demo", "messages": user("x"), "logit_bias": NEVER_STOP, "n": 2, "stream": True}
    with worker.http.stream("POST", "/v1/chat/completions", json=asked) as answer:
        # Kept by its name: the answer is closed with the last reference to it.
        begun = answer.iter_raw()
        next(begun)

        def leave(response: Any) -> None:
            if response.status_code == 429:
                assert response.headers["retry-after"] == str(RETRY_AFTER_SECONDS)
                answer.close()

        yield {"response": [leave]}
    eventually(lambda: is_idle(worker))


@contextmanager
def waiting_as_told() -> Iterator[None]:
    """Longer than clients wait by themselves before their first retry."""
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun >= RETRY_AFTER_SECONDS


@contextmanager
def ended_early(worker: Worker) -> Iterator[None]:
    """One generation is begun within, and over for the worker when its client has gone."""
    before = worker.status().counters
    yield
    eventually(lambda: is_idle(worker), 3)
    after = worker.status().counters
    assert (after.cancelled, after.completed) == (before.cancelled + 1, before.completed)


def cancel_while_generating(worker: Worker, ask: Callable[[], Coroutine[Any, Any, Any]]) -> None:
    """Cancel the task that awaits the answer, once the model writes it."""

    async def cancel() -> None:
        asking = asyncio.ensure_future(ask())
        await asyncio.to_thread(eventually, lambda: worker.status().batch.rows == 1)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    with ended_early(worker):
        asyncio.run(cancel())


def is_idle(worker: Worker) -> bool:
    status = worker.status()
    return status.in_flight == 0 and status.batch.rows == 0
