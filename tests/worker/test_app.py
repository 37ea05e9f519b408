"""The worker's routes over a fake engine: what clients see when things go wrong."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import pytest

from mlxhub.core.config import WorkerSettings
from mlxhub.worker.app import build_app
from mlxhub.worker.model_service import ModelService
from tests.worker.fake_engine import FakeEngine

Story = Callable[[httpx.AsyncClient, ModelService, FakeEngine], Coroutine[Any, Any, None]]
BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "x"}], "max_tokens": 3}
CHAT = "/v1/chat/completions"


def play(story: Story, **settings: Any) -> None:
    async def run() -> None:
        engine = FakeEngine(places=1)
        wanted = {"name": "m", "model_path": "x", "port": 1, "max_concurrency": 1, **settings}
        service = ModelService(WorkerSettings.model_validate(wanted), engine, lambda: None)
        transport = httpx.ASGITransport(build_app(service, "g"))
        async with (
            asyncio.timeout(10),
            service.running(),
            httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:1") as client,
        ):
            try:
                await story(client, service, engine)
            finally:
                engine.may_load.set()
                engine.may_speak.set()

    asyncio.run(run())


async def until(fact: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not fact():  # noqa: ASYNC110 - facts of another thread
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("path", [CHAT, "/v1/completions"])
def test_a_failure_within_a_stream_is_an_error_event_and_the_end(path: str) -> None:
    async def story(client: httpx.AsyncClient, service: ModelService, engine: FakeEngine) -> None:
        body = {**BODY, "prompt": "x", "max_tokens": 10**6, "stream": True}
        asking = asyncio.ensure_future(client.post(path, json=body))
        await until(lambda: service.thread.measured.rows == 1)
        await asyncio.sleep(0.02)
        engine.break_step = ValueError("secret")
        response = await asking
        events = response.text.strip().split("\n\n")
        assert json.loads(events[-1].removeprefix("data: "))["error"]["code"] == "generation_failed"
        assert "secret" not in response.text
        assert "[DONE]" not in response.text

    play(story)


@pytest.mark.parametrize("stream", [True, False])
def test_no_place_in_time_is_503(stream: bool) -> None:
    async def story(client: httpx.AsyncClient, service: ModelService, engine: FakeEngine) -> None:
        engine.may_speak.clear()
        running = asyncio.ensure_future(client.post(CHAT, json=BODY))
        await until(lambda: service.thread.measured.rows == 1)
        response = await client.post(CHAT, json={**BODY, "stream": stream})
        assert (response.status_code, response.json()["error"]["code"]) == (503, "queue_timeout")
        assert response.headers["retry-after"] == "2"
        engine.may_speak.set()
        assert (await running).json()["choices"][0]["message"]["content"] == "xxx"

    play(story, queue_timeout=0.05)


def test_status_tells_who_waits_and_who_decodes() -> None:
    async def story(client: httpx.AsyncClient, service: ModelService, engine: FakeEngine) -> None:
        engine.may_speak.clear()
        asking = [asyncio.ensure_future(client.post(CHAT, json=BODY)) for _ in range(3)]
        await until(lambda: service.thread.measured.rows == 1 and service.rows == 3)
        status = (await client.get("/status")).json()
        assert (status["in_flight"], status["queued"], status["batch"]["rows"]) == (3, 2, 1)
        assert (status["generation"], status["model_status"]) == ("g", "ready")
        engine.may_speak.set()
        await asyncio.gather(*asking)
        status = (await client.get("/status")).json()
        assert status["counters"]["completed"] == 3
        assert status["counters"]["completion_tokens"] == 9
        assert status["unload_in_seconds"] > 1700

    play(story)


def test_asking_how_it_is_never_loads() -> None:
    async def story(client: httpx.AsyncClient, service: ModelService, engine: FakeEngine) -> None:
        for path in ("/health", "/livez", "/readyz", "/status", "/v1/models", "/v1/models/m"):
            assert (await client.get(path)).status_code == 200
        assert (await client.get("/health")).json() == {
            "status": "ok",
            "model_status": "unloaded",
            "model": "m",
        }
        assert engine.loads == 0
        assert service.idle_seconds is None

    play(story)


def test_a_broken_engine_is_not_healthy() -> None:
    async def story(client: httpx.AsyncClient, service: ModelService, _engine: FakeEngine) -> None:
        service.break_down("it is broken.")
        assert (await client.get("/livez")).status_code == 503
        assert (await client.get("/health")).json()["status"] == "broken"
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.post(CHAT, json=BODY)).json()["error"]["code"] == "shutting_down"

    play(story)


def test_aliases_mean_the_model() -> None:
    async def story(client: httpx.AsyncClient, _service: ModelService, _engine: FakeEngine) -> None:
        answer = await client.post(CHAT, json={**BODY, "model": "gpt-4o"})
        assert answer.json()["model"] == "m"
        assert (await client.get("/v1/models/gpt-4o")).json()["id"] == "m"

    play(story, aliases=["gpt-4o"])
