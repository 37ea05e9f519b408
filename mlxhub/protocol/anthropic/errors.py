"""Errors as Anthropic's clients expect them."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from mlxhub.errors import MlxhubError
from mlxhub.protocol.errors import THREAD_UNSUPPORTED, ErrorEnvelope, error_envelope, http_error
from mlxhub.protocol.sse import typed_event

_OVERLOADED = frozenset({"queue_timeout", "shutting_down", "insufficient_memory", "load_refused"})
_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
}


class AnthropicErrorDetails(BaseModel):
    """For programs; only where clients act upon it."""

    error_code: Literal["thread_unsupported_request"]


class AnthropicErrorBody(BaseModel):
    type: str
    message: str
    details: AnthropicErrorDetails | None = Field(None, exclude_if=lambda details: details is None)


class AnthropicError(BaseModel):
    model_config = ConfigDict(extra="forbid")

    type: Literal["error"] = "error"
    error: AnthropicErrorBody
    request_id: str | None


def anthropic_error(envelope: ErrorEnvelope, status: int, request_id: str | None) -> AnthropicError:
    code = envelope.error.code
    details = AnthropicErrorDetails(error_code=code) if code == THREAD_UNSUPPORTED else None
    body = AnthropicErrorBody(type=_type(envelope, status), message=envelope.error.message, details=details)
    return AnthropicError(error=body, request_id=request_id)


def anthropic_error_event(error: MlxhubError, request_id: str | None = None) -> bytes:
    said = anthropic_error(error_envelope(error), http_error(error).status, request_id)
    return typed_event("error", said.model_dump_json().encode())


def _type(envelope: ErrorEnvelope, status: int) -> str:
    if envelope.error.code in _OVERLOADED:
        return "overloaded_error"
    return _TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")
