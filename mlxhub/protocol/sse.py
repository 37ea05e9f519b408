"""Server-sent events, as bytes."""

from mlxhub.errors import MlxhubError
from mlxhub.protocol.errors import error_envelope

KEEPALIVE = b": keepalive\n\n"
DONE = b"data: [DONE]\n\n"


def data_event(payload: bytes) -> bytes:
    """`payload` is one line, as JSON is."""
    return b"data: " + payload + b"\n\n"


def typed_event(kind: str, payload: bytes) -> bytes:
    """For clients that go by the event's name."""
    return b"event: " + kind.encode() + b"\ndata: " + payload + b"\n\n"


def identified_event(event_id: str, kind: str, payload: bytes) -> bytes:
    """A client that comes back says the id of the last one it got, in `Last-Event-ID`."""
    return b"id: " + event_id.encode() + b"\n" + typed_event(kind, payload)


def error_event(error: MlxhubError) -> bytes:
    """How OpenAI's clients expect an error inside a stream."""
    return data_event(error_envelope(error).model_dump_json().encode())
