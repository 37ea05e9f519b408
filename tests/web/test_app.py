"""The envelope, request ids and the last net, around a Starlette app; and serving until told to stop."""

import asyncio
import socket

import httpx
import pytest
from loguru import logger
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from mlxhub.errors import ModelBusy, PortHeld
from mlxhub.web.request_id import RequestIdMiddleware, request_id
from mlxhub.web.responses import UnexpectedErrors, install_error_handlers
from mlxhub.web.server import bind_socket, serve


class Body(BaseModel):
    count: int


async def show_id(request: Request) -> Response:
    logger.info("seen")
    return PlainTextResponse(request_id(request.scope))


async def busy(_request: Request) -> Response:
    raise ModelBusy("m", 2)


async def teapot(_request: Request) -> Response:
    raise HTTPException(418, "short and stout")


async def crash(_request: Request) -> Response:
    raise ValueError("a secret")


async def count(request: Request) -> Response:
    Body.model_validate_json(await request.body())
    return Response()


def make_app() -> Starlette:
    app = Starlette(
        routes=[
            Route("/id", show_id),
            Route("/busy", busy),
            Route("/teapot", teapot),
            Route("/crash", crash),
            Route("/count", count, methods=["POST"]),
        ],
        middleware=[Middleware(RequestIdMiddleware), Middleware(UnexpectedErrors)],
    )
    install_error_handlers(app)
    return app


def ask(method: str, path: str, **options: str | bytes | dict[str, str]) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(make_app())
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path, **options)  # type: ignore[arg-type]

    return asyncio.run(send())


@pytest.mark.parametrize("given", ["abc-1", "x" * 128])
def test_a_sane_request_id_is_kept_for_answer_handler_and_log(given: str) -> None:
    seen: list[object] = []
    sink = logger.add(lambda line: seen.append(line.record["extra"].get("request_id")), level="INFO")
    try:
        response = ask("GET", "/id", headers={"x-request-id": given})
    finally:
        logger.remove(sink)
    assert response.headers["x-request-id"] == response.text == given
    assert seen == [given]


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", "é"])
def test_other_request_ids_are_replaced(given: str) -> None:
    response = ask("GET", "/id", headers={"x-request-id": given.encode("latin-1")})  # type: ignore[dict-item]
    assert response.text.startswith("req_")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/busy", 409, "model_busy"),
        ("GET", "/teapot", 418, None),
        ("GET", "/crash", 500, "internal_error"),
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/count", 405, "method_not_allowed"),
        ("POST", "/count", 400, "invalid_request"),
    ],
)
def test_every_error_has_the_envelope(method: str, path: str, status: int, code: str | None) -> None:
    response = ask(method, path)
    assert response.status_code == status
    assert response.json()["error"]["code"] == code
    assert "secret" not in response.text
    assert response.headers["x-request-id"]


def test_a_validation_error_names_the_parameter_and_not_its_value() -> None:
    error = ask("POST", "/count", content=b'{"count": "my secret"}').json()["error"]
    assert error["param"] == "count"
    assert "secret" not in error["message"]


def test_an_unexpected_error_is_logged_once() -> None:
    lines: list[str] = []
    sink = logger.add(lambda line: lines.append(str(line)), level="ERROR")
    try:
        ask("GET", "/crash")
    finally:
        logger.remove(sink)
    assert len(lines) == 1
    assert "ValueError: a secret" in lines[0]


def test_a_held_port_names_its_holder() -> None:
    with bind_socket("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(PortHeld) as held:
            bind_socket("127.0.0.1", port)
        assert held.value.port == port


def test_serving_drains_then_ends_the_rest_and_returns() -> None:
    heard: list[str] = []

    async def story() -> None:
        sock = bind_socket("127.0.0.1", 0)
        url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks, httpx.AsyncClient(base_url=url) as client:
            tasks.create_task(
                serve(
                    make_app(),
                    sock,
                    begin_drain=lambda: heard.append("drain"),
                    is_idle=lambda: "end" in heard,
                    end_rest=lambda: heard.append("end"),
                    stop=stop,
                    drain_seconds=0.1,
                    grace_seconds=1,
                )
            )
            assert (await client.get("/id")).status_code == 200
            stop.set()

    async def with_limit() -> None:
        async with asyncio.timeout(10):
            await story()

    asyncio.run(with_limit())
    assert heard == ["drain", "end"]


def test_the_socket_is_ours_before_it_is_served() -> None:
    with bind_socket("127.0.0.1", 0) as ours, socket.create_connection(ours.getsockname(), timeout=2):
        pass
