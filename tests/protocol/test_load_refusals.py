"""A model that may not be loaded now: every API says so in its own way, also in a stream that had begun."""

import json

import pytest

from mlxhub.errors import GroupFull, InsufficientMemory, LimitsUnreadable, LoadNotBegun, LoadRefused
from mlxhub.protocol.dialects import broken_off
from mlxhub.protocol.errors import client_envelope, error_headers, http_error
from mlxhub.protocol.model_routes import CHAT, COMPLETIONS, MESSAGES, RESPONSES

FULL = GroupFull("m", "large", 1, ("other",))


@pytest.mark.parametrize(
    ("refused", "status", "code"),
    [
        (FULL, 429, "group_capacity_exceeded"),
        (InsufficientMemory("m", 2, 1, {"other": 1}, "Unload it."), 503, "insufficient_memory"),
        (LoadNotBegun("m", "its turn did not come."), 503, "load_refused"),
        (LimitsUnreadable("m"), 503, "load_refused"),
    ],
)
def test_clients_are_told_why_and_when_to_come_back(refused: LoadRefused, status: int, code: str) -> None:
    assert (http_error(refused).status, http_error(refused).code) == (status, code)
    assert error_headers(refused) == {"retry-after": "2"}
    assert client_envelope(refused).error.message == str(refused)


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (CHAT, ("error", "code", "group_capacity_exceeded")),
        (COMPLETIONS, ("error", "code", "group_capacity_exceeded")),
        (MESSAGES, ("error", "type", "rate_limit_error")),
    ],
)
def test_a_stream_that_waited_ends_with_it(path: str, place: tuple[str, str, str]) -> None:
    data = broken_off(path, FULL, "r1").decode().split("data: ")[1]
    outer, key, value = place
    assert json.loads(data)[outer][key] == value
    assert json.loads(data)[outer]["message"] == str(FULL)


def test_a_stream_of_the_responses_api_that_waited_ends_with_it() -> None:
    event = json.loads(broken_off(RESPONSES, FULL, "r1").decode().split("data: ")[1])
    assert (event["type"], event["code"]) == ("error", "group_capacity_exceeded")
    assert event["message"] == str(FULL)
