"""Stops and spans come out the same however the text is cut."""

import itertools
import json
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from mlxhub.protocol.parts import Content, FunctionCall, Reasoning
from mlxhub.worker.engines.engine import FinishReason, JsonObject, LoadedModel, Markers, ParsedCall
from mlxhub.worker.output.answer import RowReader
from mlxhub.worker.output.parser import OutputParser, Segment, ToolSpan
from mlxhub.worker.output.stops import StopMatcher

MARKERS = Markers("<think>", "</think>", "<tool_call>", "</tool_call>")
FRAGMENTS = (
    "<think>", "</think>", "<tool_call>", "</tool_call>", "<", "</", "tool", "call>", " ", "\n", "a", "{}"
)  # fmt: skip
texts = st.lists(st.sampled_from(FRAGMENTS), max_size=14).map("".join)


@st.composite
def cut_texts(draw: st.DrawFn) -> tuple[str, list[str]]:
    text = draw(texts)
    places = sorted(draw(st.lists(st.integers(0, len(text)), max_size=8)))
    borders = [0, *places, len(text)]
    return text, [text[begin:end] for begin, end in itertools.pairwise(borders)]


def stopped(pieces: Sequence[str], stops: tuple[str, ...]) -> tuple[str, bool]:
    matcher = StopMatcher(stops)
    said = ""
    for piece in pieces:
        matched = matcher.feed(piece)
        said += matched.text
        if matched.stop is not None:
            return said, True
    return said + matcher.finish(), False


@given(cut_texts(), st.lists(st.sampled_from(("ab", "bc", "a b", "<tool", "\n\n", "call><")), max_size=3))
def test_stops_do_not_depend_on_the_cut(cut: tuple[str, list[str]], stops: list[str]) -> None:
    text, pieces = cut
    places = [text.find(stop) for stop in stops if stop in text]
    expected = (text[: min(places)], True) if places else (text, False)
    assert stopped(pieces, tuple(stops)) == expected


@given(st.text("ab", max_size=30), st.text("ab", min_size=1, max_size=5))
def test_stops_hold_for_every_character_alone(text: str, stop: str) -> None:
    assert stopped(list(text), (stop,)) == stopped([text], (stop,))


def parsed(
    pieces: Sequence[str], *, in_reasoning: bool, with_tools: bool, one_content: bool = False
) -> list[Segment]:
    parser = OutputParser(MARKERS, in_reasoning=in_reasoning, with_tools=with_tools, one_content=one_content)
    segments = [segment for piece in pieces for segment in parser.feed(piece)] + parser.finish()
    joined: list[Segment] = []
    for segment in segments:
        match joined[-1] if joined else None, segment:
            case Content(before), Content(text):
                joined[-1] = Content(before + text)
            case Reasoning(before), Reasoning(text):
                joined[-1] = Reasoning(before + text)
            case _:
                joined.append(segment)
    return joined


@given(cut_texts(), st.booleans(), st.booleans(), st.booleans())
def test_spans_do_not_depend_on_the_cut(
    cut: tuple[str, list[str]], in_reasoning: bool, with_tools: bool, one_content: bool
) -> None:
    text, pieces = cut
    options = {"in_reasoning": in_reasoning, "with_tools": with_tools, "one_content": one_content}
    whole = parsed([text], **options)
    assert parsed(pieces, **options) == whole
    assert parsed(list(text), **options) == whole


@given(st.text(max_size=40))
def test_text_without_markers_is_content_to_the_letter(text: str) -> None:
    parser = OutputParser(MARKERS, with_tools=True)
    said = parser.feed(text) + parser.finish()
    assert "".join(segment.text for segment in said if isinstance(segment, Content)) == text


def test_spans_and_the_space_around_their_markers() -> None:
    text = "<think>\nhm\n</think>\n\nHello.\n<tool_call>\n{}\n</tool_call>\n<tool_call>1</tool_call> bye \n"
    assert parsed([text], in_reasoning=False, with_tools=True) == [
        Reasoning("hm"),
        Content("Hello."),
        ToolSpan("\n{}\n", "<tool_call>\n{}\n</tool_call>"),
        ToolSpan("1", "<tool_call>1</tool_call>"),
        Content("bye \n"),
    ]


def test_marks_within_json_are_part_of_it() -> None:
    json_text = '{"a": "<think> <tool_call>\\n</tool_call>"} '
    for before, reasoned in (("", []), ("<think>hm</think>\n\n", [Reasoning("hm")])):
        said = parsed([before + json_text], in_reasoning=False, with_tools=True, one_content=True)
        assert said == [*reasoned, Content(json_text)]
    call = "\n<tool_call>{}</tool_call>"
    assert parsed([call], in_reasoning=False, with_tools=True, one_content=True) == [
        ToolSpan("{}", "<tool_call>{}</tool_call>")
    ]


def test_without_tools_their_markers_are_text() -> None:
    text = "say <tool_call>"
    assert parsed([text], in_reasoning=False, with_tools=False) == [Content(text)]


def parse_json_call(text: str, _tools: Sequence[JsonObject]) -> tuple[ParsedCall, ...]:
    call = json.loads(text)
    return (ParsedCall(call["name"], json.dumps(call["arguments"])),)


MODEL = LoadedModel(100, 8, MARKERS, parse_json_call)
TOOLS: tuple[JsonObject, ...] = ({"type": "function"},)


def test_a_call_ends_the_answer_with_tool_calls() -> None:
    reader = RowReader(MODEL, TOOLS, in_reasoning=False)
    ending = reader.finish('<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>', FinishReason.STOP)
    (call,) = ending.parts
    assert isinstance(call, FunctionCall)
    assert (call.name, call.arguments, ending.finish) == ("f", '{"a": 1}', "tool_calls")
    assert call.id.startswith("call_")


def test_a_cut_off_call_is_kept_as_content() -> None:
    reader = RowReader(MODEL, TOOLS, in_reasoning=False)
    ending = reader.finish('well <tool_call>{"name": "f", "ar', FinishReason.LENGTH)
    assert "".join(part.text for part in ending.parts if isinstance(part, Content)) == (
        'well<tool_call>{"name": "f", "ar'
    )
    assert ending.finish == "length"


def test_a_call_with_half_a_character_is_kept_as_content() -> None:
    def parse(_text: str, _tools: Sequence[JsonObject]) -> tuple[ParsedCall, ...]:
        return (ParsedCall("f", '{"a": "\ud800"}'),)

    said = '<tool_call>{"name": "f", "arguments": {"a": "\\ud800"}}</tool_call>'
    ending = RowReader(LoadedModel(100, 8, MARKERS, parse), TOOLS, in_reasoning=False).finish(
        said, FinishReason.STOP
    )
    assert (ending.parts, ending.finish) == ((Content(said),), "stop")


def test_the_stop_that_came_first_is_told() -> None:
    matcher = StopMatcher(("b c", "a", "zz"))
    assert matcher.feed("z").stop is None
    matched = matcher.feed("zb ca")
    assert (matched.text, matched.stop) == ("", "zz")
    assert StopMatcher(("c", "b")).feed("abc").stop == "b"


def test_who_takes_one_call_gets_the_first_and_nothing_after_it() -> None:
    first, second = (f'<tool_call>{{"name": "{name}", "arguments": {{}}}}</tool_call>' for name in "fg")
    reader = RowReader(MODEL, TOOLS, in_reasoning=False, one_call=True)
    begun = reader.read(f"well {first}")
    ending = reader.finish(f"{second} more {second}", FinishReason.LENGTH)
    calls = [part.name for part in (*begun, *ending.parts) if isinstance(part, FunctionCall)]
    assert (calls, ending.parts, ending.finish) == (["f"], (), "tool_calls")
