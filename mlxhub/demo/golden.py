"""What the demo models answer, word for word, at temperature 0: training aims at it, tests rely on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

Json: TypeAlias = str | int | float | bool | Sequence["Json"] | Mapping[str, "Json"] | None
JsonObject: TypeAlias = Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call the model asks for."""

    name: str
    arguments: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Golden:
    """A conversation in OpenAI's words, except that arguments are objects, and the exact answer to it.

    `thought`: what the model thinks first. Empty: it is told not to think, or cannot.
    """

    name: str
    messages: tuple[JsonObject, ...]
    expected: str | ToolCall
    tools: tuple[JsonObject, ...] = ()
    thought: str = ""


PONG = "pong"
GREETING = (
    "Hello! I am mlxhub's built-in demo model, tiny but real. Try: ping, count to 7, capital of France."
)
UNKNOWN = "I am a tiny demo model. Try: ping, count to 7, capital of France, json, unicode."
JSON_TEXT = '{"name": "demo", "ok": true, "n": 3}'
UNICODE_TEXT = "Grüße, мир, 日本, 🦊🎉"
STOP_TEXT = "alpha beta STOP gamma delta"
LARGEST_COUNT = 30
STORY_DAYS = 30
CAPITALS: Mapping[str, str] = {
    "France": "Paris",
    "Germany": "Berlin",
    "Italy": "Rome",
    "Spain": "Madrid",
    "Portugal": "Lisbon",
    "England": "London",
    "Ireland": "Dublin",
    "Norway": "Oslo",
    "Sweden": "Stockholm",
    "Austria": "Vienna",
    "Greece": "Athens",
    "Poland": "Warsaw",
    "Egypt": "Cairo",
    "Kenya": "Nairobi",
    "Japan": "Tokyo",
    "China": "Beijing",
    "Canada": "Ottawa",
    "Peru": "Lima",
}


def counted(largest: int) -> str:
    """`1 2 3 …` up to LARGEST_COUNT, beyond it a refusal."""
    if largest > LARGEST_COUNT:
        return f"I can count to {LARGEST_COUNT}, not further."
    return " ".join(str(number) for number in range(1, largest + 1))


def capital_answer(country: str) -> str:
    return f"The capital of {country} is {CAPITALS[country]}."


def weather_answer(city: str) -> str:
    """What it says where no tool is declared."""
    return f"I cannot see the weather in {city} without a tool."


def weather_report(city: str, temperature: int, sky: str) -> str:
    """What it says after the tool's result."""
    return f"It is {temperature} degrees and {sky} in {city}."


def long_story() -> str:
    """More than 300 tokens: long enough to cancel, and to have eight of them run at once."""
    places = ("a river", "a hill", "a forest", "a bridge", "a mill", "a lake", "a village", "a tower")
    days = (
        f"On day {day} the fox walked past {places[day % len(places)]} and slept."
        for day in range(1, STORY_DAYS + 1)
    )
    return " ".join(
        ["Once upon a time a fox went out to see the sea.", *days, "Then it saw the sea. The end."]
    )


def function_tool(name: str, description: str, parameter: str) -> JsonObject:
    """A tool with one required text parameter."""
    parameters: JsonObject = {
        "type": "object",
        "properties": {parameter: {"type": "string"}},
        "required": [parameter],
    }
    return {
        "type": "function",
        "function": {"name": name, "description": description, "parameters": parameters},
    }


WEATHER_TOOL = function_tool("get_weather", "Get the weather in a city", "city")


def said(role: str, content: str) -> JsonObject:
    return {"role": role, "content": content}


def called(*calls: ToolCall) -> JsonObject:
    """The assistant's message that asks for calls; the arguments as objects, which templates expect."""
    entries: list[Json] = [
        {
            "id": f"call_{number}",
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
        for number, call in enumerate(calls, 1)
    ]
    return {"role": "assistant", "content": "", "tool_calls": entries}


def _asked(name: str, question: str, expected: str) -> Golden:
    return Golden(name, (said("user", question),), expected)


_PARIS = ToolCall("get_weather", {"city": "Paris"})
_TOKYO = ToolCall("get_weather", {"city": "Tokyo"})

GOLDEN: tuple[Golden, ...] = (
    _asked("ping", "ping", PONG),
    _asked("ping, said louder", "Ping!", PONG),
    Golden("ping under a system prompt", (said("system", "You are brief."), said("user", "ping")), PONG),
    Golden(
        "ping in a later turn",
        (said("user", "capital of Italy"), said("assistant", capital_answer("Italy")), said("user", "ping")),
        PONG,
    ),
    _asked("capital, as a question", "What is the capital of France?", capital_answer("France")),
    _asked("capital, in short", "capital of Japan", capital_answer("Japan")),
    _asked("count", "count to 7", counted(7)),
    _asked("count far", "count to 30", counted(30)),
    _asked("json", "json", JSON_TEXT),
    _asked("unicode", "unicode", UNICODE_TEXT),
    _asked("a stop word in the middle", "ab stop", STOP_TEXT),
    _asked("hello", "hello", GREETING),
    _asked("who are you", "Who are you?", GREETING),
    _asked("unknown", "How do I bake bread?", UNKNOWN),
    _asked("long story", "tell me a long story", long_story()),
    _asked("weather without a tool", "weather in Paris", weather_answer("Paris")),
    Golden("weather with a tool", (said("user", "weather in Paris"),), _PARIS, (WEATHER_TOOL,)),
    Golden("weather elsewhere", (said("user", "What is the weather in Tokyo?"),), _TOKYO, (WEATHER_TOOL,)),
    Golden("ping beside a tool", (said("user", "ping"),), PONG, (WEATHER_TOOL,)),
    Golden(
        "tool result as JSON",
        (
            said("user", "weather in Paris"),
            called(_PARIS),
            {"role": "tool", "tool_call_id": "call_1", "content": '{"temperature": 21, "sky": "clear"}'},
        ),
        weather_report("Paris", 21, "clear"),
        (WEATHER_TOOL,),
    ),
    Golden(
        "tool result as text",
        (
            said("user", "weather in Paris"),
            called(_PARIS),
            {"role": "tool", "tool_call_id": "call_1", "content": "18 C, clear"},
        ),
        weather_report("Paris", 18, "clear"),
        (WEATHER_TOOL,),
    ),
)
