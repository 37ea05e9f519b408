"""The fields that chat and text completions have in common."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, Tag, field_validator

from mlxhub.core.constraint import Constraint
from mlxhub.protocol.parameters import Ignored
from mlxhub.protocol.tagged import LISTED, LONE_TEXT, TEXT_OR_LIST

MAX_STOPS = 16
MAX_STOP = 1000
MAX_ANSWERS = 8
MAX_BIASES = 1024


class Lenient(BaseModel):
    """Unknown fields are ignored, as clients send many; what is known is taken strictly."""

    # Built when the first request needs it: a process that only starts does not wait for all of them.
    model_config = ConfigDict(
        extra="ignore", strict=True, allow_inf_nan=False, protected_namespaces=(), defer_build=True
    )


class StreamOptions(Lenient):
    include_usage: bool | None = None
    include_obfuscation: Annotated[Any, Ignored(unless=(False,))] = None


Stop = Annotated[str, Field(min_length=1, max_length=MAX_STOP)]
# An empty text alone is none.
Stops = Annotated[
    Annotated[str, Field(max_length=MAX_STOP), Tag(LONE_TEXT)]
    | Annotated[list[Stop], Field(max_length=MAX_STOPS, fail_fast=True), Tag(LISTED)],
    TEXT_OR_LIST,
]
TokenId = Annotated[int, Field(ge=0, lt=1 << 31)]


class SamplingFields(Lenient):
    """An explicit null is the same as leaving the field out."""

    model: str
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, ge=0, le=1)
    top_k: int | None = Field(None, ge=-1, le=1 << 20)
    min_p: float | None = Field(None, ge=0, le=1)
    seed: int | None = Field(None, ge=-(1 << 63), lt=1 << 63)
    max_tokens: int | None = Field(None, ge=1)
    stop: Stops | None = None
    n: int | None = Field(None, ge=1, le=MAX_ANSWERS)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = Field(
        None, max_length=MAX_BIASES, json_schema_extra={"propertyNames": {"pattern": "^[0-9]{1,9}$"}}
    )
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: Annotated[Any, Ignored()] = None

    @field_validator("logit_bias")
    @classmethod
    def _biases_name_tokens(cls, biases: dict[str, float] | None) -> dict[str, float] | None:
        if any(not (key.isascii() and key.isdigit() and len(key) < 10) for key in biases or {}):
            raise ValueError("its keys must be token ids")
        return biases

    @property
    def stops(self) -> tuple[str, ...]:
        match self.stop:
            case None | "":
                return ()
            case str(stop):
                return (stop,)
            case stops:
                return tuple(stops)

    @property
    def answers(self) -> int:
        return self.n or 1

    @property
    def constraint(self) -> Constraint | None:
        """What the answer must be like. Raises InvalidRequest."""
        return None

    @property
    def top_logprobs_wanted(self) -> int | None:
        """As of GenerationRequest. Raises InvalidRequest."""
        return None

    @property
    def include_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)
