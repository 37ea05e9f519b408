"""How the API at a path writes errors: Anthropic's and the Responses API have their own ways."""

from mlxhub.errors import MlxhubError
from mlxhub.protocol import sse
from mlxhub.protocol.anthropic.answers import PING
from mlxhub.protocol.anthropic.errors import anthropic_error, anthropic_error_event
from mlxhub.protocol.errors import ErrorEnvelope
from mlxhub.protocol.model_routes import COUNT_TOKENS, MESSAGES, RESPONSES
from mlxhub.protocol.openai.responses_events import next_sequence_number, response_error_event

_ANTHROPICS = frozenset({MESSAGES, COUNT_TOKENS})


def request_id_headers(path: str) -> tuple[str, ...]:
    """Where clients of the API at a path look for their request's id."""
    return ("x-request-id", "request-id") if path in _ANTHROPICS else ("x-request-id",)


def error_body(path: str, status: int, envelope: ErrorEnvelope, request_id: str | None) -> bytes:
    """JSON, for a whole answer."""
    if path in _ANTHROPICS:
        return anthropic_error(envelope, status, request_id).model_dump_json().encode()
    return envelope.model_dump_json().encode()


def keepalive(path: str) -> bytes:
    """In a stream of which nothing was said yet; of a response only its worker can tell events."""
    return PING if path == MESSAGES else sse.KEEPALIVE


def broken_off(path: str, error: MlxhubError, request_id: str | None, said: bytes = b"") -> bytes:
    """The last event of a stream that somebody else began. `said`: the last that came of it."""
    if path == MESSAGES:
        return anthropic_error_event(error, request_id)
    if path == RESPONSES:
        return response_error_event(error, next_sequence_number(said))
    return sse.error_event(error)
