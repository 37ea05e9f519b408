"""What the controller itself says goes by the API at the path that was asked."""

import asyncio
from typing import Any

import pytest

from tests.controller.hub import RunningHub
from tests.events import typed_events
from tests.fakes.worker import Answer, Received

pytestmark = pytest.mark.anyio

PATHS = ("/v1/messages", "/v1/messages/count_tokens", "/v1/responses")


async def die(_: Received, answer: Answer) -> None:
    answer.abort()
    await asyncio.sleep(3600)


async def die_in_the_middle(_: Received, answer: Answer) -> None:
    await answer.begin_chunks()
    await answer.chunk(b'event: ping\ndata: {"type":"ping","sequence_number":6}\n\n')
    await asyncio.sleep(0.05)
    answer.abort()
    await asyncio.sleep(3600)


async def post(hub: RunningHub, path: str, body: Any) -> Any:
    return await hub.client.post(path, json=body)


@pytest.mark.parametrize("path", PATHS)
async def test_requests_are_handed_on_by_their_model(hub: RunningHub, path: str) -> None:
    response = await post(hub, path, {"model": "alpha", "x": [1]})
    assert response.json() == {"model": "alpha", "x": [1]}
    assert hub.workers["alpha"].received[-1].target == path


@pytest.mark.parametrize("path", PATHS[:2])
async def test_refusals_are_anthropics(hub: RunningHub, path: str) -> None:
    hub.workers["alpha"].script = die
    for body, status, kind in (
        ({"model": "nobody"}, 404, "not_found_error"),
        ({"model": 5}, 400, "invalid_request_error"),
        ({"model": "alpha"}, 502, "api_error"),
    ):
        response = await post(hub, path, body)
        said = response.json()
        assert (response.status_code, said["type"], said["error"]["type"]) == (status, "error", kind)
        assert said["request_id"] == response.headers["x-request-id"] == response.headers["request-id"]


async def test_refusals_of_responses_are_openais(hub: RunningHub) -> None:
    response = await post(hub, "/v1/responses", {"model": "nobody"})
    assert (response.status_code, response.json()["error"]["code"]) == (404, "model_not_found")


async def test_a_message_that_is_broken_off_ends_with_anthropics_event(hub: RunningHub) -> None:
    hub.workers["alpha"].script = die_in_the_middle
    response = await post(hub, "/v1/messages", {"model": "alpha", "stream": True})
    ping, error = typed_events(response.text)
    assert (ping["type"], error["error"]["type"]) == ("ping", "api_error")
    assert error["request_id"] == response.headers["x-request-id"]


async def test_a_response_that_is_broken_off_ends_with_a_typed_event(hub: RunningHub) -> None:
    hub.workers["alpha"].script = die_in_the_middle
    response = await post(hub, "/v1/responses", {"model": "alpha", "stream": True})
    _, error = typed_events(response.text)
    assert (error["type"], error["code"], error["sequence_number"]) == ("error", "worker_silent", 7)
