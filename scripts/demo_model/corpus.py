"""Conversations to train on, drawn from a seeded random source."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from demo_model import words

from mlxhub.demo.golden import (
    CAPITALS,
    GREETING,
    JSON_TEXT,
    LARGEST_COUNT,
    PONG,
    STOP_TEXT,
    UNICODE_TEXT,
    UNKNOWN,
    JsonObject,
    ToolCall,
    called,
    capital_answer,
    counted,
    function_tool,
    long_story,
    said,
    weather_answer,
    weather_report,
)
from mlxhub.demo.thoughts import (
    GREETING_THOUGHT,
    JSON_THOUGHT,
    PING_THOUGHT,
    STOP_THOUGHT,
    STORY_THOUGHT,
    UNICODE_THOUGHT,
    UNKNOWN_THOUGHT,
    call_thought,
    capital_thought,
    count_thought,
    report_thought,
    thinking,
    weather_thought,
)

# Few, because so small a model learns each by heart rather than to copy any.
TEMPERATURES = (0, 3, 5, 8, 12, 15, 18, 20, 21, 24, 27, 30)
CITIES = (*CAPITALS.values(), *words.MORE_CITIES)


@dataclass(frozen=True, slots=True)
class Conversation:
    """What the chat template renders. Every answer has its thought, which not every template shows."""

    messages: tuple[JsonObject, ...]
    tools: tuple[JsonObject, ...] = ()


@dataclass(frozen=True, slots=True)
class WeatherTool:
    """The names a declared weather tool gives itself and its parameter."""

    name: str
    parameter: str


GET_WEATHER = WeatherTool("get_weather", "city")
# The tool of OpenAI's own examples.
GET_CURRENT_WEATHER = WeatherTool("get_current_weather", "location")


def make_conversation(random: Random, tokens: int) -> Conversation:
    """A conversation that fills about so many tokens; what is beyond them gets cut off."""
    tool, tools = _make_tools(random) if tokens >= 256 and random.random() < 0.6 else (None, ())
    messages: list[JsonObject] = []
    if random.random() < 0.35:
        messages.append(said("system", _system_prompt(random, tokens)))
    if tokens >= 512:
        messages += _long_turn(random, tokens)
    budget = tokens * 3 - sum(len(json.dumps(tool)) for tool in tools)
    while sum(len(str(message["content"])) + 24 for message in messages) < budget:
        messages += _make_turn(random, tool, tokens)
    return Conversation(tuple(messages), tools)


def _long_turn(random: Random, tokens: int) -> list[JsonObject]:
    """What only fits into long rows: the story, or a question so long that all else is far from the start."""
    kind = random.random()
    if kind < 0.3:
        return _answered(random.choice(words.STORY_QUESTIONS), long_story(), STORY_THOUGHT)
    if kind < 0.65:
        prose = _prose(random, random.randint(tokens // 8, tokens // 3))
        return _answered(prose, UNKNOWN, UNKNOWN_THOUGHT)
    return []


def _make_turn(random: Random, tool: WeatherTool | None, tokens: int) -> list[JsonObject]:
    if random.random() < (0.6 if tool else 0.1):
        return _weather_turn(random, tool)
    if tokens >= 1024 and random.random() < 0.05:
        return _answered(random.choice(words.STORY_QUESTIONS), long_story(), STORY_THOUGHT)
    kinds: Sequence[Callable[[Random], list[JsonObject]]] = (
        _fixed_turn,
        _capital_turn,
        _count_turn,
        _unknown_turn,
    )
    return random.choices(kinds, weights=(4, 2, 3, 4))[0](random)


def _answered(question: str, answer: str, thought: str) -> list[JsonObject]:
    return [said("user", question), thinking(said("assistant", answer), thought)]


def _fixed_turn(random: Random) -> list[JsonObject]:
    questions, answer, thought = random.choice(
        (
            (words.PINGS, PONG, PING_THOUGHT),
            (words.GREETINGS, GREETING, GREETING_THOUGHT),
            (words.JSON_QUESTIONS, JSON_TEXT, JSON_THOUGHT),
            (words.UNICODE_QUESTIONS, UNICODE_TEXT, UNICODE_THOUGHT),
            (words.STOP_QUESTIONS, STOP_TEXT, STOP_THOUGHT),
        )
    )
    return _answered(random.choice(questions), answer, thought)


def _capital_turn(random: Random) -> list[JsonObject]:
    country = random.choice(list(CAPITALS))
    question = random.choice(words.CAPITAL_QUESTIONS).format(x=country)
    return _answered(question, capital_answer(country), capital_thought(country))


def _count_turn(random: Random) -> list[JsonObject]:
    largest = (
        random.randint(1, LARGEST_COUNT)
        if random.random() < 0.9
        else random.choice((31, 40, 50, 99, 100, 200, 1000))
    )
    question = random.choice(words.COUNT_QUESTIONS).format(n=largest)
    return _answered(question, counted(largest), count_thought(largest))


def _unknown_turn(random: Random) -> list[JsonObject]:
    return _answered(_unknown_question(random), UNKNOWN, UNKNOWN_THOUGHT)


def _unknown_question(random: Random) -> str:
    kind = random.random()
    if kind < 0.6:
        return _filled(random, random.choice(words.UNKNOWN_QUESTIONS))
    if kind < 0.7:
        return random.choice((*words.FOREIGN, *words.SNIPPETS))
    if kind < 0.8:
        letters = "abcdefghijklmnopqrstuvwxyz 0123456789_-.,:;/()[]{}<>\"'!?ABCDEFGHIJ\n\täöüéжшя日本語🦊"
        return "".join(random.choices(letters, k=random.randint(1, 30))).strip() or "x"
    if kind < 0.97:
        return _prose(random, random.randint(2, 25))
    return _prose(random, random.randint(25, 120))


def _filled(random: Random, pattern: str) -> str:
    text = pattern.format(
        n=random.choice(words.NOUNS),
        m=random.choice(words.NOUNS),
        v=random.choice(words.VERBS),
        c=random.choice(CITIES),
        x=random.choice(words.OTHER_COUNTRIES),
    )
    return text[:1].upper() + text[1:] if random.random() < 0.5 else text


def _prose(random: Random, count: int) -> str:
    """Words in no order, some repeated over and over: what load tests send."""
    vocabulary = [
        *words.NOUNS,
        *words.VERBS,
        "the",
        "a",
        "of",
        "and",
        "in",
        "to",
        "word",
        "hello",
        "data",
        str(random.randint(0, 99)),
    ]
    chosen = random.choices(vocabulary, k=count if random.random() < 0.7 else random.randint(1, 3))
    return " ".join((chosen * count)[:count])


def _system_prompt(random: Random, tokens: int) -> str:
    if random.random() < 0.6:
        return random.choice(words.SYSTEM_PROMPTS)
    return _prose(random, random.randint(3, max(4, tokens // 8)))


def _make_tools(random: Random) -> tuple[WeatherTool | None, tuple[JsonObject, ...]]:
    """One to three tools; one time in eight without a weather tool among them."""
    others = random.sample(words.OTHER_TOOL_NAMES, k=random.choice((0, 0, 1, 2)))
    tools = [
        function_tool(name, random.choice(words.TOOL_DESCRIPTIONS), random.choice(("text", "name", "query")))
        for name in others
    ]
    if others and random.random() < 0.4:
        return None, tuple(tools)
    weather = GET_WEATHER if random.random() < 0.75 else GET_CURRENT_WEATHER
    declared = function_tool(weather.name, random.choice(words.TOOL_DESCRIPTIONS), weather.parameter)
    tools.insert(random.randint(0, len(tools)), _varied(random, declared))
    return weather, tuple(tools)


def _varied(random: Random, tool: JsonObject) -> JsonObject:
    """The same tool as other clients declare it: parameters described, `required` left out, and so on."""
    changed = json.loads(json.dumps(tool))
    parameters = changed["function"]["parameters"]
    if random.random() < 0.4:
        for described in parameters["properties"].values():
            described["description"] = random.choice(words.PARAMETER_DESCRIPTIONS)
    if random.random() < 0.3:
        parameters["properties"]["unit"] = {"type": "string", "enum": ["celsius", "fahrenheit"]}
    if random.random() < 0.2:
        del parameters["required"]
    if random.random() < 0.1:
        parameters["additionalProperties"] = False
    if random.random() < 0.1:
        del changed["function"]["description"]
    if random.random() < 0.1:
        changed["function"]["strict"] = True
    return dict(changed)


def _weather_turn(random: Random, tool: WeatherTool | None) -> list[JsonObject]:
    city = random.choice(CITIES)
    question = random.choice(words.WEATHER_QUESTIONS).format(x=city)
    if tool is None:
        return _answered(question, weather_answer(city), weather_thought(city))
    temperature, sky = random.choice(TEMPERATURES), random.choice(words.SKIES)
    call = called(ToolCall(tool.name, {tool.parameter: city}))
    report = said("assistant", weather_report(city, temperature, sky))
    return [
        said("user", question),
        thinking(call, call_thought(tool.name, city)),
        said("tool", _tool_result(random, temperature, sky, city)),
        thinking(report, report_thought(temperature, sky)),
    ]


def _tool_result(random: Random, temperature: int, sky: str, city: str) -> str:
    facts: dict[str, int | str] = {random.choice(("temperature", "temperature", "temp")): temperature}
    facts[random.choice(("sky", "sky", "condition"))] = sky
    as_json = (
        json.dumps(facts),
        json.dumps(facts, separators=(",", ":")),
        json.dumps({"city": city, **facts}),
    )
    as_text = (
        f"{temperature} C and {sky}",
        f"{temperature} degrees and {sky}",
        f"{temperature} C, {sky}",
        f"{temperature}°C and {sky}",
    )
    return random.choice(random.choice((as_json, as_text)))
