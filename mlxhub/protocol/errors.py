"""The one table from errors to HTTP, and the one shape in which every error leaves."""

import math
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel

from mlxhub import errors, refusals

RETRY_AFTER_SECONDS = 2
# By this Anthropic's clients know that they may go on without.
THREAD_UNSUPPORTED: Final = "thread_unsupported_request"


class ErrorBody(BaseModel):
    message: str
    type: str
    code: str | None = None
    param: str | None = None


class ErrorEnvelope(BaseModel):
    """OpenAI's error shape, on every route of ours."""

    error: ErrorBody


class RemoteError(errors.MlxhubError):
    """What another process of the hub answered: its words, its code and its status."""

    def __init__(self, status: int, body: ErrorBody) -> None:
        super().__init__(body.message)
        self.status = status
        self.body = body


@dataclass(frozen=True, slots=True)
class HttpError:
    status: int
    type: str
    code: str


_TABLE: dict[type[errors.MlxhubError], HttpError] = {
    errors.ConfigError: HttpError(422, "invalid_request_error", "invalid_config"),
    errors.UnknownOperation: HttpError(404, "invalid_request_error", "operation_not_found"),
    errors.UnknownModel: HttpError(404, "invalid_request_error", "model_not_found"),
    errors.ModelNotRunning: HttpError(503, "server_error", "model_not_running"),
    errors.ModelFailed: HttpError(503, "server_error", "model_failed"),
    errors.WorkerSilent: HttpError(502, "server_error", "worker_silent"),
    errors.LoadFailed: HttpError(503, "server_error", "model_load_failed"),
    errors.LoadRefused: HttpError(503, "server_error", "load_refused"),
    errors.GroupFull: HttpError(429, "rate_limit_error", "group_capacity_exceeded"),
    errors.InsufficientMemory: HttpError(503, "server_error", "insufficient_memory"),
    errors.NotLoaded: HttpError(503, "server_error", "model_not_loaded"),
    errors.ModelChanging: HttpError(409, "server_error", "model_changing"),
    errors.ModelBusy: HttpError(409, "invalid_request_error", "model_busy"),
    refusals.MalformedHttp: HttpError(400, "invalid_request_error", "malformed_http"),
    refusals.HeadTooLarge: HttpError(431, "invalid_request_error", "headers_too_large"),
    refusals.TargetTooLong: HttpError(414, "invalid_request_error", "uri_too_long"),
    refusals.RequestTooSlow: HttpError(408, "invalid_request_error", "request_timeout"),
    refusals.WrongHost: HttpError(421, "invalid_request_error", "misdirected_request"),
    refusals.ForeignPage: HttpError(403, "permission_error", "foreign_page"),
    refusals.NoSuchRoute: HttpError(404, "invalid_request_error", "not_found"),
    refusals.WrongMethod: HttpError(405, "invalid_request_error", "method_not_allowed"),
    refusals.KeyMissing: HttpError(401, "authentication_error", "invalid_api_key"),
    refusals.KeyTooWeak: HttpError(403, "permission_error", "admin_key_needed"),
    refusals.UnlockExpired: HttpError(401, "authentication_error", "unlock_expired"),
    refusals.InvalidRequest: HttpError(400, "invalid_request_error", "invalid_request"),
    refusals.WrongModelType: HttpError(400, "invalid_request_error", "wrong_model_type"),
    refusals.ThreadUnsupported: HttpError(400, "invalid_request_error", THREAD_UNSUPPORTED),
    refusals.NotJson: HttpError(415, "invalid_request_error", "unsupported_media_type"),
    refusals.NotForm: HttpError(415, "invalid_request_error", "unsupported_media_type"),
    refusals.RequestTooLarge: HttpError(413, "invalid_request_error", "request_too_large"),
    refusals.ResponseGone: HttpError(400, "invalid_request_error", "previous_response_not_found"),
    refusals.UnknownResponse: HttpError(404, "invalid_request_error", "response_not_found"),
    refusals.ImageGone: HttpError(404, "invalid_request_error", "image_not_found"),
    refusals.ContextOverflow: HttpError(400, "invalid_request_error", "context_length_exceeded"),
    refusals.Quarantined: HttpError(422, "invalid_request_error", "request_quarantined"),
    refusals.QueueFull: HttpError(429, "rate_limit_error", "queue_full"),
    refusals.QueueTimeout: HttpError(503, "server_error", "queue_timeout"),
    refusals.RequestTimeout: HttpError(504, "server_error", "generation_timeout"),
    refusals.Draining: HttpError(503, "server_error", "shutting_down"),
    refusals.OutboundRefused: HttpError(400, "invalid_request_error", "url_refused"),
    refusals.OutboundFailed: HttpError(400, "invalid_request_error", "url_not_fetched"),
    refusals.GenerationFailed: HttpError(500, "server_error", "generation_failed"),
    errors.LockTimeout: HttpError(409, "server_error", "hub_is_changing"),
    errors.OpenAddress: HttpError(409, "invalid_request_error", "open_address"),
    errors.PullFailed: HttpError(409, "invalid_request_error", "pull_refused"),
    errors.UnknownPull: HttpError(404, "invalid_request_error", "pull_not_found"),
    errors.HubYamlLeftAlone: HttpError(409, "invalid_request_error", "hub_yaml_left_alone"),
    errors.UnknownCheckpoint: HttpError(404, "invalid_request_error", "model_not_on_disk"),
    errors.PlanRefused: HttpError(409, "invalid_request_error", "not_ours"),
    errors.PortHeld: HttpError(503, "server_error", "port_held"),
    errors.NoSession: HttpError(503, "server_error", "no_launchd_session"),
    errors.LaunchdError: HttpError(502, "server_error", "launchd_failed"),
    errors.MlxhubError: HttpError(500, "server_error", "internal_error"),
}
_RETRYABLE_STATUSES = frozenset({429, 503})


def http_error(error: errors.MlxhubError) -> HttpError:
    """The row of the nearest ancestor that has one; of another process's error what it said itself."""
    if isinstance(error, RemoteError):
        return HttpError(error.status, error.body.type, error.body.code or "remote_error")
    for ancestor in type(error).__mro__:
        if row := _TABLE.get(ancestor):
            return row
    raise AssertionError(f"no row for {type(error).__name__}")


def error_envelope(error: errors.MlxhubError) -> ErrorEnvelope:
    if isinstance(error, RemoteError):
        return ErrorEnvelope(error=error.body)
    row = http_error(error)
    match error:
        case refusals.InvalidRequest(param=param):
            pass
        case errors.UnknownModel():
            param = "model"
        case refusals.ResponseGone():
            param = "previous_response_id"
        case _:
            param = None
    return ErrorEnvelope(error=ErrorBody(message=str(error), type=row.type, code=row.code, param=param))


def client_envelope(error: errors.MlxhubError) -> ErrorEnvelope:
    """For whoever may use models: nothing of this machine, its files and its other processes."""
    envelope = error_envelope(error)
    if not isinstance(error, errors.RequestError | errors.ModelError | RemoteError) or isinstance(
        error, errors.ModelFailed
    ):
        envelope.error.message = (
            f"This model cannot be used now ({envelope.error.code}). Whoever runs this hub sees why with: "
            "mlxhub status"
        )
    return envelope


def status_headers(status: int) -> dict[str, str]:
    """Headers that go with an error's status: 429 and 503 say when to come back, 401 says with what."""
    if status in _RETRYABLE_STATUSES:
        return {"retry-after": str(RETRY_AFTER_SECONDS)}
    return {"www-authenticate": "Bearer"} if status == 401 else {}


def error_headers(error: errors.MlxhubError) -> dict[str, str]:
    """As `status_headers`, and what this very error adds."""
    headers = status_headers(http_error(error).status)
    match error:
        case refusals.WrongMethod(allowed=allowed):
            headers["allow"] = ", ".join(allowed)
        case errors.LoadRefused(retry_after_seconds=float(seconds)) | refusals.Quarantined(seconds=seconds):
            headers["retry-after"] = str(max(1, math.ceil(seconds)))
    return headers
