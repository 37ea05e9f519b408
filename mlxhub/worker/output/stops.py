"""Stop strings, matched on text that comes in pieces."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Matched:
    """`text` may be sent. `stop`: this stop string followed it, and nothing after that counts."""

    text: str
    stop: str | None = None


class StopMatcher:
    """Holds back the tail that may still become a stop. Of several stops the earliest in the text wins."""

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops = stops
        self._held = ""

    def feed(self, piece: str) -> Matched:
        if not self._stops:
            return Matched(piece)
        text = self._held + piece
        found = [(place, stop) for stop in self._stops if (place := text.find(stop)) >= 0]
        if found:
            self._held = ""
            place, stop = min(found, key=lambda each: each[0])
            return Matched(text[:place], stop)
        keep = max(held_back(text, stop) for stop in self._stops)
        cut = len(text) - keep
        self._held = text[cut:]
        return Matched(text[:cut])

    def finish(self) -> str:
        """What was held back for a stop that did not come."""
        held, self._held = self._held, ""
        return held


def held_back(text: str, marker: str) -> int:
    """Length of the longest end of `text` that begins `marker` without being all of it."""
    for length in range(min(len(marker) - 1, len(text)), 0, -1):
        if text.endswith(marker[:length]):
            return length
    return 0
