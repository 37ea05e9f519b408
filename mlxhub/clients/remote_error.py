"""An error that another process of the hub answered with."""

from pydantic import ValidationError

from mlxhub.errors import MlxhubError
from mlxhub.protocol.errors import ErrorBody, ErrorEnvelope


class RemoteError(MlxhubError):
    """Keeps the words, the code and the status of the process that knows best."""

    def __init__(self, status: int, body: ErrorBody) -> None:
        super().__init__(body.message)
        self.status = status
        self.body = body


def remote_error(status: int, content: bytes, *, source: str) -> RemoteError:
    """`source`: who answered, for a person, should it not be in our shape."""
    try:
        return RemoteError(status, ErrorEnvelope.model_validate_json(content).error)
    except ValidationError:
        said = content[:200].decode("utf-8", "replace")
        message = f"{source} answered {status}: {said}"
        return RemoteError(status, ErrorBody(message=message, type="server_error", code="foreign_error"))
