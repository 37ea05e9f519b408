"""Machine text to reasoning, content and tool calls, however the text is cut into pieces."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias

from mlxhub.protocol.parts import Content, Reasoning
from mlxhub.worker.engines.engine import Markers
from mlxhub.worker.output.stops import held_back


@dataclass(frozen=True, slots=True)
class ToolSpan:
    """What lies between the markers. `source` is the span with its markers, for when it is no call."""

    text: str
    source: str


Segment: TypeAlias = Reasoning | Content | ToolSpan


class _State(Enum):
    CONTENT = auto()
    REASONING = auto()
    TOOL = auto()


class OutputParser:
    """White space beside a span's markers belongs to the markers and is dropped.

    `one_content`: content that has begun goes on to the end, and what looks like a marker is part of it.
    """

    def __init__(
        self,
        markers: Markers,
        *,
        in_reasoning: bool = False,
        with_tools: bool = False,
        one_content: bool = False,
    ) -> None:
        self._markers = markers
        self._edges = _edges(markers, with_tools)
        self._one_content = one_content
        self._state = _State.REASONING if in_reasoning else _State.CONTENT
        self._buffer = ""
        self._tool_text: list[str] = []
        # At the beginning of a span after a marker, white space is not yet known to be followed by anything.
        self._after_marker = in_reasoning
        self._held_space = ""

    @property
    def in_reasoning(self) -> bool:
        """Whether what is fed next belongs to a thought, unless a marker ends it."""
        return self._state is _State.REASONING

    def feed(self, piece: str) -> list[Segment]:
        at_content = not self._buffer and not self._held_space and self._state is _State.CONTENT
        if at_content and not self._edges[self._state]:
            # No marker can come: most models, most of the time.
            return [Content(piece)] if piece else []
        self._buffer += piece
        segments: list[Segment] = []
        while (edge := self._next_edge()) is not None:
            place, marker, target = edge
            segments += self._take(self._buffer[:place])
            self._buffer = self._buffer[place + len(marker) :]
            segments += self._cross(marker, target)
        keep = max((held_back(self._buffer, marker) for marker, _ in self._edges[self._state]), default=0)
        cut = len(self._buffer) - keep
        segments += self._take(self._buffer[:cut])
        self._buffer = self._buffer[cut:]
        return _merged(segments)

    def finish(self) -> list[Segment]:
        """The answer has ended. A tool span without an end is given as a span too."""
        segments = self._take(self._buffer)
        self._buffer = ""
        if self._state is _State.TOOL:
            segments.append(self._tool_span(""))
        elif self._held_space and not self._after_marker:
            segments.append(self._span(self._held_space))
        self._held_space = ""
        return _merged(segments)

    def _next_edge(self) -> tuple[int, str, _State] | None:
        edge = _earliest(self._buffer, self._edges[self._state])
        if edge is not None and self._state is _State.CONTENT and self._buffer[: edge[0]].strip():
            self._content_has_begun()
            return edge if self._edges[self._state] else None
        return edge

    def _content_has_begun(self) -> None:
        if self._one_content:
            self._edges[_State.CONTENT] = []

    def _take(self, text: str) -> list[Segment]:
        """Text of the current state. Space at its end is held back until more than a marker follows."""
        if self._state is _State.TOOL:
            self._tool_text.append(text)
            return []
        text = self._held_space + text
        if self._after_marker:
            text = text.lstrip()
        solid = text.rstrip()
        self._held_space = text[len(solid) :]
        if not solid:
            return []
        self._after_marker = False
        if self._state is _State.CONTENT:
            self._content_has_begun()
        return [self._span(solid)]

    def _cross(self, marker: str, target: _State) -> list[Segment]:
        segments: list[Segment] = []
        if self._state is _State.TOOL:
            segments.append(self._tool_span(marker))
        self._held_space = ""
        self._after_marker = True
        self._state = target
        return segments

    def _tool_span(self, end: str) -> ToolSpan:
        text = "".join(self._tool_text)
        self._tool_text = []
        return ToolSpan(text, f"{self._markers.tool_start}{text}{end}")

    def _span(self, text: str) -> Segment:
        return Reasoning(text) if self._state is _State.REASONING else Content(text)


def _edges(markers: Markers, with_tools: bool) -> dict[_State, list[tuple[str, _State]]]:
    edges: dict[_State, list[tuple[str, _State]]] = {state: [] for state in _State}
    if markers.think_start and markers.think_end:
        edges[_State.CONTENT].append((markers.think_start, _State.REASONING))
        edges[_State.REASONING].append((markers.think_end, _State.CONTENT))
    if with_tools and markers.tool_start:
        edges[_State.CONTENT].append((markers.tool_start, _State.TOOL))
        edges[_State.REASONING].append((markers.tool_start, _State.TOOL))
        if markers.tool_end:
            edges[_State.TOOL].append((markers.tool_end, _State.CONTENT))
    return edges


def _earliest(text: str, edges: list[tuple[str, _State]]) -> tuple[int, str, _State] | None:
    found = [(text.find(marker), marker, target) for marker, target in edges]
    return min((edge for edge in found if edge[0] >= 0), key=lambda edge: edge[0], default=None)


def _merged(segments: list[Segment]) -> list[Segment]:
    """Neighbours of one kind as one."""
    merged: list[Segment] = []
    for segment in segments:
        match merged[-1] if merged else None, segment:
            case Content(before), Content(text):
                merged[-1] = Content(before + text)
            case Reasoning(before), Reasoning(text):
                merged[-1] = Reasoning(before + text)
            case _:
                merged.append(segment)
    return merged
