"""What a worker answered instead of doing what the controller asked of it, as our answer."""

from starlette.requests import Request
from starlette.responses import Response

from mlxhub.clients.remote_error import RemoteError
from mlxhub.protocol.errors import ErrorEnvelope, status_headers
from mlxhub.web.responses import ErrorResponse


def remote_error_response(error: RemoteError) -> Response:
    return ErrorResponse(error.status, ErrorEnvelope(error=error.body), status_headers(error.status))


async def on_remote_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RemoteError)
    return remote_error_response(error)
