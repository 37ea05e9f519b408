"""Clients that leave before their answer is complete."""

import asyncio
from typing import Any

import httpx

from tests.eventually import eventually
from tests.worker.processes import Worker


def require_freed_row(worker: Worker, path: str, body: dict[str, Any]) -> None:
    """`body` asks for more than a moment can give. With the client its row goes, and it is counted."""
    before = worker.status().counters.cancelled
    asyncio.run(_leave(worker, path, body))
    eventually(lambda: worker.status().in_flight == 0 and worker.status().batch.rows == 0, 3)
    assert worker.status().counters.cancelled == before + 1


async def _leave(worker: Worker, path: str, body: dict[str, Any]) -> None:
    async with httpx.AsyncClient(base_url=worker.url, timeout=20) as http:
        asking = asyncio.ensure_future(http.post(path, json=body))
        await asyncio.to_thread(eventually, lambda: worker.status().batch.rows == 1)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
