"""Errors as HTTP answers, for both programs."""

from collections.abc import Mapping, Sequence

from loguru import logger
from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlxhub.errors import MlxhubError
from mlxhub.protocol.dialects import error_body
from mlxhub.protocol.errors import (
    ErrorBody,
    ErrorEnvelope,
    client_envelope,
    error_envelope,
    error_headers,
    http_error,
)
from mlxhub.refusals import InvalidRequest
from mlxhub.web.request_id import request_id_if_any

# A longer part of a parameter's path is none of our names but a key of the client's.
_LONGEST_NAME = 64
_CODES = {
    404: "not_found",
    405: "method_not_allowed",
    413: "request_too_large",
    415: "unsupported_media_type",
}


class ErrorResponse(Response):
    """Written as the API at the path of its request has it."""

    def __init__(
        self, status: int, envelope: ErrorEnvelope, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(None, status, headers=dict(headers or {}), media_type="application/json")
        self._envelope = envelope

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        identity = request_id_if_any(scope)
        self.body = error_body(scope["path"], self.status_code, self._envelope, identity)
        self.headers["content-length"] = str(len(self.body))
        await super().__call__(scope, receive, send)


def refusal_response(refusal: MlxhubError) -> Response:
    """Of a request that never reached an API: in the one envelope, whatever its path."""
    return Response(
        error_envelope(refusal).model_dump_json(),
        http_error(refusal).status,
        headers=error_headers(refusal),
        media_type="application/json",
    )


def error_response(error: MlxhubError) -> Response:
    return ErrorResponse(http_error(error).status, error_envelope(error), error_headers(error))


def client_error_response(error: MlxhubError) -> Response:
    """As `error_response`, where the asker need not be who runs the hub."""
    return ErrorResponse(http_error(error).status, client_envelope(error), error_headers(error))


def invalid_request(error: ValidationError) -> InvalidRequest:
    """The first fault, with the path of the parameter; never the value the client sent."""
    details = error.errors()[0]
    name = _param(details["loc"])
    said = str(details["msg"]).removeprefix("Value error, ")
    if details["type"] in ("json_invalid", "json_type"):
        return InvalidRequest("The body is not valid JSON.")
    if not name:
        return InvalidRequest("The body must be a JSON object.")
    return InvalidRequest(f"{name}: {said[:1].lower()}{said[1:]}", param=name)


def _param(path: Sequence[str | int]) -> str:
    """`messages[0].content`, without the tags pydantic adds for the members of a union."""
    name = ""
    for part in path:
        if isinstance(part, int):
            name += f"[{part}]"
        elif (
            len(part) <= _LONGEST_NAME and part.isidentifier() and part not in ("str", "int", "float", "bool")
        ):
            name += f".{part}" if name else part
    return name


def model_response(model: BaseModel, status: int = 200) -> Response:
    return Response(model.model_dump_json(), status, media_type="application/json")


def install_error_handlers(app: Starlette) -> None:
    """Add UnexpectedErrors as a middleware too: Starlette's own handler logs and raises once more."""
    app.add_exception_handler(MlxhubError, _on_mlxhub_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(ValidationError, _on_validation_error)


async def _on_mlxhub_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, MlxhubError)
    return error_response(error)


async def _on_http_exception(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kind = "invalid_request_error" if error.status_code < 500 else "server_error"
    body = ErrorBody(message=error.detail, type=kind, code=_CODES.get(error.status_code))
    return ErrorResponse(error.status_code, ErrorEnvelope(error=body), error.headers)


async def _on_validation_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ValidationError)
    return error_response(invalid_request(error))


class UnexpectedErrors:
    """The last net: logs the traceback once and answers 500 without details, or breaks off what has begun."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watch_start(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watch_start)
        except ClientDisconnect:
            logger.debug("The client left.")
        except Exception:
            if scope["type"] != "http":
                raise
            logger.exception("Unexpected error in {} {}", scope["method"], scope["path"])
            if not started:
                body = ErrorBody(
                    message="Internal error. The log says more.", type="server_error", code="internal_error"
                )
                await ErrorResponse(500, ErrorEnvelope(error=body))(scope, receive, send)
