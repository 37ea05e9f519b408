"""Requests reach the worker of the model they name, and nothing of them is changed."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.controller.hub import ALPHA, BETA, RunningHub, running_hub
from tests.fakes.worker import Answer, Received

pytestmark = pytest.mark.anyio

JSON = {"content-type": "application/json"}


async def test_a_request_goes_to_the_model_it_names(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA, BETA) as hub:
        response = await hub.chat("beta")
        assert (response.status_code, response.json()) == (200, {"model": "beta"})
        assert [len(worker.received) for worker in hub.workers.values()] == [0, 1]


@pytest.mark.parametrize("alias", ["gpt-4o-mini", "org/alpha"])
async def test_an_alias_means_its_model_and_stays_as_it_is(tmp_path: Path, alias: str) -> None:
    async with running_hub(tmp_path, ALPHA, BETA) as hub:
        await hub.chat(alias)
        assert [json.loads(request.body) for request in hub.workers["alpha"].received] == [{"model": alias}]


async def test_an_unknown_model_is_404_with_the_list_and_starts_nothing(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA, BETA, stopped=("alpha", "beta")) as hub:
        response = await hub.chat("gamma")
        assert response.status_code == 404
        assert response.json()["error"] == {
            "message": 'There is no model "gamma" here. Models: alpha, beta.',
            "type": "invalid_request_error",
            "code": "model_not_found",
            "param": "model",
        }
        assert hub.launchd.calls == []


async def test_a_body_without_a_readable_model_is_400(hub: RunningHub) -> None:
    no_json = [b"", b"{", b'{"model": "alpha"', b'{"model": "alpha", "x": nan}', b'\xff{"model": "alpha"}']
    no_json += [b'{"model": "\xff"}', b'{"x":' + b"[" * 5000]
    no_model = [b"{}", b"[]", b'"alpha"', b'{"model": null}', b'{"model": 1}', b'{"model": ["alpha"]}']
    for body, param in [*((body, None) for body in no_json), *((body, "model") for body in no_model)]:
        response = await hub.client.post("/v1/chat/completions", headers=JSON, content=body)
        error = response.json()["error"]
        assert (response.status_code, error["code"], error["param"]) == (400, "invalid_request", param), body


async def test_a_form_of_another_site_neither_reaches_nor_starts_a_model(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA, BETA, stopped=("beta",)) as hub:
        for model in ("alpha", "beta"):
            for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
                response = await hub.client.post(
                    "/v1/chat/completions",
                    content=json.dumps({"model": model}).encode(),
                    headers={"content-type": content_type},
                )
                assert response.status_code == 415
                assert response.json()["error"]["code"] == "unsupported_media_type"
        assert hub.workers["alpha"].received == []
        assert hub.launchd.calls == []


async def test_a_body_over_the_limit_is_413(hub: RunningHub) -> None:
    response = await hub.client.post(
        "/v1/chat/completions", headers=JSON, content=b" " * (32 * 1024 * 1024 + 1)
    )
    assert (response.status_code, response.json()["error"]["code"]) == (413, "request_too_large")


@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/nothing"), ("GET", "/v1/chat/completions/x")])
async def test_an_unknown_path_is_404_in_our_shape(hub: RunningHub, method: str, path: str) -> None:
    response = await hub.client.request(method, path)
    assert (response.status_code, response.json()["error"]["code"]) == (404, "not_found")


async def test_a_routed_path_takes_posts_only(hub: RunningHub) -> None:
    response = await hub.client.get("/v1/chat/completions")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert response.json()["error"]["code"] == "method_not_allowed"


@pytest.mark.parametrize("text", ["plain", "Grüße, 世界 🌍 \u2028", "x" * 5_000_000])
async def test_bodies_pass_untouched_both_ways(hub: RunningHub, text: str) -> None:
    body = json.dumps({"messages": [text], "model": "alpha"}, ensure_ascii=False).encode()
    response = await hub.client.post("/v1/chat/completions", headers=JSON, content=body)
    assert hub.workers["alpha"].received[-1].body == body
    assert response.content == body


async def test_a_chunked_answer_passes_whole(hub: RunningHub) -> None:
    pieces = [bytes([number]) * (number * 997) for number in range(1, 60)]

    async def answer_chunked(_: Received, answer: Answer) -> None:
        await answer.begin_chunks("application/octet-stream")
        for piece in pieces:
            await answer.chunk(piece)
        await answer.end_chunks()

    hub.workers["alpha"].script = answer_chunked
    assert (await hub.chat("alpha")).content == b"".join(pieces)


async def test_an_answer_that_ends_with_its_connection_passes_whole(hub: RunningHub) -> None:
    async def answer_until_close(_: Received, answer: Answer) -> None:
        await answer.raw(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\nall of it")
        answer.close()

    hub.workers["alpha"].script = answer_until_close
    assert (await hub.chat("alpha")).text == "all of it"


async def test_an_interim_response_is_not_the_answer(hub: RunningHub) -> None:
    async def answer_twice(_: Received, answer: Answer) -> None:
        await answer.raw(b"HTTP/1.1 100 Continue\r\n\r\n")
        await answer.whole(b"the answer")

    hub.workers["alpha"].script = answer_twice
    assert (await hub.chat("alpha")).text == "the answer"


async def test_errors_of_the_worker_pass_with_their_status_and_retry_after(hub: RunningHub) -> None:
    async def refuse(_: Received, answer: Answer) -> None:
        await answer.raw(b"HTTP/1.1 429 X\r\nretry-after: 2\r\ncontent-length: 4\r\n\r\nfull")

    hub.workers["alpha"].script = refuse
    response = await hub.chat("alpha")
    assert (response.status_code, response.headers["retry-after"], response.text) == (429, "2", "full")


async def test_what_says_who_the_client_is_ends_at_the_hub(hub: RunningHub) -> None:
    await hub.client.post(
        "/v1/chat/completions",
        content=b'{"model": "alpha"}',
        headers={
            "authorization": "Bearer secret",
            "x-api-key": "secret",
            "cookie": "a=b",
            "origin": hub.url,
            "connection": "keep-alive, x-private",
            "x-private": "1",
            "sec-fetch-site": "same-origin",
            "x-request-id": "req-7",
            "content-type": "application/json",
        },
    )
    received = hub.workers["alpha"].received[-1].headers
    kept = {name: value for name, value in received.items() if name not in ("accept", "user-agent")}
    assert kept == {
        "host": f"127.0.0.1:{hub.workers['alpha'].port}",
        "accept-encoding": received["accept-encoding"],
        "content-type": "application/json",
        "content-length": "18",
        "x-request-id": "req-7",
        # The hub's own, for this worker.
        "authorization": received["authorization"],
    }
    assert received["authorization"].startswith("Mlxhub ")


async def test_only_known_headers_of_the_worker_reach_the_client(hub: RunningHub) -> None:
    async def answer_with_headers(_: Received, answer: Answer) -> None:
        await answer.raw(
            b"HTTP/1.1 200 OK\r\nServer: x\r\nSet-Cookie: a=b\r\nAccess-Control-Allow-Origin: *\r\n"
            b"Keep-Alive: timeout=5\r\nX-Request-ID: other\r\nX-Cached: 1\r\nContent-Length: 2\r\n\r\nok"
        )

    hub.workers["alpha"].script = answer_with_headers
    response = await hub.client.post(
        "/v1/chat/completions", json={"model": "alpha"}, headers={"x-request-id": "mine"}
    )
    headers = {name: value for name, value in response.headers.items() if name != "date"}
    assert headers == {
        "cache-control": "no-store",
        "content-length": "2",
        "cross-origin-resource-policy": "same-origin",
        "x-cached": "1",
        "x-content-type-options": "nosniff",
        "x-request-id": "mine",
    }


async def test_connections_to_a_worker_are_used_again(hub: RunningHub) -> None:
    await hub.chat("alpha")
    before = hub.workers["alpha"].connections
    for _ in range(5):
        await hub.chat("alpha")
    assert hub.workers["alpha"].connections == before


async def test_a_connection_the_worker_closed_meanwhile_is_replaced_unseen(hub: RunningHub) -> None:
    await hub.chat("alpha")
    hub.workers["alpha"].drop_connections()
    assert (await hub.chat("alpha")).status_code == 200


async def test_many_at_once_all_get_their_own_answer(hub: RunningHub) -> None:
    responses = await asyncio.gather(*(hub.chat("alpha", n=number) for number in range(50)))
    assert [response.json()["n"] for response in responses] == list(range(50))


async def test_models_are_listed_by_name_and_shown_by_alias_too_without_loading(hub: RunningHub) -> None:
    listed = (await hub.client.get("/v1/models")).json()["data"]
    assert [model["id"] for model in listed] == ["alpha", "beta"]
    assert listed[0]["meta"] == {
        "type": "lm",
        "port": hub.workers["alpha"].port,
        "process": "running",
        "state": "unloaded",
        "context_length": 2048,
        "aliases": ["gpt-4o-mini", "org/alpha"],
    }
    shown = await hub.client.get("/v1/models/org/alpha")
    assert shown.json() == listed[0]
    assert (await hub.client.get("/v1/models/other")).status_code == 404


async def test_head_of_a_request_split_over_segments_is_still_one_request(hub: RunningHub) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", hub.port)
    body = b'{"model": "alpha"}'
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n" % hub.port
    head += b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
    for byte in head + body:
        writer.write(bytes([byte]))
        await writer.drain()
    answer = await reader.readuntil(body)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_bodies_are_counted_where_no_length_is_given(hub: RunningHub) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(33):
            yield b" " * 2**20

    response = await hub.client.post("/v1/chat/completions", headers=JSON, content=endless())
    assert response.status_code == 413
