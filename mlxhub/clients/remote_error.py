"""An error that another process of the hub answered with."""

from pydantic import ValidationError

from mlxhub.protocol.errors import ErrorBody, ErrorEnvelope, RemoteError


def remote_error(status: int, content: bytes, *, source: str) -> RemoteError:
    """`source`: who answered, for a person, should it not be in our shape."""
    try:
        return RemoteError(status, ErrorEnvelope.model_validate_json(content).error)
    except ValidationError:
        said = content[:200].decode("utf-8", "replace")
        message = f"{source} answered {status}: {said}"
        return RemoteError(status, ErrorBody(message=message, type="server_error", code="foreign_error"))
