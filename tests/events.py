"""Server-sent events as a client reads them."""

import json
from typing import Any


def typed_events(stream: str) -> list[dict[str, Any]]:
    """The data of each; its name and its type are the same, and nothing else is in the stream."""
    *events, end = stream.split("\n\n")
    assert end == ""
    found = []
    for event in events:
        name, data = event.split("\n")
        payload = json.loads(data.removeprefix("data: "))
        assert name == f"event: {payload['type']}"
        found.append(payload)
    return found


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]
