"""What the thinking demo model thinks before it answers; its golden answers, with thoughts and without."""

from collections.abc import Mapping
from dataclasses import replace

from mlxhub.demo.golden import CAPITALS, GOLDEN, LARGEST_COUNT, Golden, JsonObject

PING_THOUGHT = "They ping, so I pong."
GREETING_THOUGHT = "Somebody talks to me: I say who I am."
JSON_THOUGHT = "They want JSON, so I write an object."
UNICODE_THOUGHT = "Many letters: é, я, 本 and 🦊."
STOP_THOUGHT = "They want a STOP in the middle."
STORY_THOUGHT = "A long story: it takes 30 days."
UNKNOWN_THOUGHT = "This is nothing that I know."


def count_thought(largest: int) -> str:
    if largest > LARGEST_COUNT:
        return f"I count to {LARGEST_COUNT}, and this is more."
    return f"I start with 1 and stop after {largest}."


def capital_thought(country: str) -> str:
    return f"They ask about {country}: {CAPITALS[country]}."


def weather_thought(city: str) -> str:
    """Where no tool is declared."""
    return f"The weather in {city} needs a tool, and I have none."


def call_thought(tool: str, city: str) -> str:
    """Before it calls the tool."""
    return f"I ask {tool} about {city}."


def report_thought(temperature: int, sky: str) -> str:
    """After the tool's result."""
    return f"The tool says {temperature} and {sky}."


def thinking(message: JsonObject, thought: str) -> JsonObject:
    """An assistant's message with the thought before it."""
    return {**message, "reasoning_content": thought}


_THOUGHTS: Mapping[str, str] = {
    "ping": PING_THOUGHT,
    "ping, said louder": PING_THOUGHT,
    "ping under a system prompt": PING_THOUGHT,
    "ping in a later turn": PING_THOUGHT,
    "capital, as a question": capital_thought("France"),
    "capital, in short": capital_thought("Japan"),
    "count": count_thought(7),
    "count far": count_thought(30),
    "json": JSON_THOUGHT,
    "unicode": UNICODE_THOUGHT,
    "a stop word in the middle": STOP_THOUGHT,
    "hello": GREETING_THOUGHT,
    "who are you": GREETING_THOUGHT,
    "unknown": UNKNOWN_THOUGHT,
    "long story": STORY_THOUGHT,
    "weather without a tool": weather_thought("Paris"),
    "weather with a tool": call_thought("get_weather", "Paris"),
    "weather elsewhere": call_thought("get_weather", "Tokyo"),
    "ping beside a tool": PING_THOUGHT,
    "tool result as JSON": report_thought(21, "clear"),
    "tool result as text": report_thought(18, "clear"),
}


def _called_after_a_thought(golden: Golden) -> Golden:
    """The same, from a client that sends the thought before the call back."""
    asked, call, *results = golden.messages
    thoughtful = thinking(call, call_thought("get_weather", "Paris"))
    return replace(
        golden, name=f"{golden.name}, the thought sent back", messages=(asked, thoughtful, *results)
    )


_THOUGHTFUL = tuple(replace(golden, thought=_THOUGHTS[golden.name]) for golden in GOLDEN)
# Without the thought it tells this result of another city: training has not taught it otherwise.
_ONLY_THOUGHTFUL = "tool result as text"

THINKING_GOLDEN: tuple[Golden, ...] = (
    *_THOUGHTFUL,
    *(_called_after_a_thought(golden) for golden in _THOUGHTFUL if golden.name.startswith("tool result")),
    *(
        replace(golden, name=f"{golden.name}, without thinking")
        for golden in GOLDEN
        if golden.name != _ONLY_THOUGHTFUL
    ),
)
