"""What every client asks the demo model, and what it gets."""

from typing import Any, TypeAlias

from pydantic import BaseModel

from mlxhub.demo.golden import LARGEST_COUNT, WEATHER_TOOL, counted

# Each client has types of its own for the same JSON.
Messages: TypeAlias = Any

PONG = "pong"
COUNTED = counted(LARGEST_COUNT)
WEATHER_SCHEMA: Any = WEATHER_TOOL["function"]
WEATHER: Any = WEATHER_TOOL
PARIS = {"city": "Paris"}
SKY = '{"temperature": 21, "sky": "clear"}'
REPORT = "It is 21 degrees and clear in Paris."
TOO_LONG = "ping " * 5000
UNKNOWN_MODEL = 'There is no model "nobody" here. Models: demo.'


class Card(BaseModel):
    """What the demo model says to `json`."""

    name: str
    ok: bool
    n: int


CARD = Card(name="demo", ok=True, n=3)

# No answer to these ends before the context does, after some 2,000 tokens.
NEVER_STOP = {"2": -100}
ENDLESS_TEXT = {"type": "string", "minLength": 5000}


def user(text: str) -> Messages:
    return [{"role": "user", "content": text}]
