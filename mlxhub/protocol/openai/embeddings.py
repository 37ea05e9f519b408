"""POST /v1/embeddings: what a client sends and gets."""

import base64
from array import array
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from mlxhub.protocol.openai.completions import Text, Tokens
from mlxhub.protocol.openai.sampling import Lenient
from mlxhub.protocol.parameters import Ignored

MAX_INPUTS = 2048
MAX_DIMENSIONS = 65_536

# pydantic writes the lengths of a union as those of a text.
_SEVERAL = Field(
    min_length=1, max_length=MAX_INPUTS, json_schema_extra={"minItems": 1, "maxItems": MAX_INPUTS}
)
_Texts = Annotated[list[Text], Field(fail_fast=True)]
_TokenLists = Annotated[list[Tokens], Field(fail_fast=True)]


class EmbeddingsRequest(Lenient):
    """An explicit null is the same as leaving the field out."""

    model: str
    input: Text | Tokens | Annotated[_Texts | _TokenLists, _SEVERAL]
    dimensions: int | None = Field(
        None, ge=1, le=MAX_DIMENSIONS, description="The first numbers of a vector, made of length 1 again."
    )
    encoding_format: Literal["float", "base64"] | None = None
    truncate: bool | None = Field(None, description="Cut what is too long, and say so, or else refuse it.")
    user: Annotated[Any, Ignored()] = None

    @property
    def inputs(self) -> tuple[str | tuple[int, ...], ...]:
        if isinstance(self.input, str):
            return (self.input,)
        if tokens := tuple(one for one in self.input if isinstance(one, int)):
            return (tokens,)
        return tuple(
            one if isinstance(one, str) else tuple(one) for one in self.input if not isinstance(one, int)
        )


class _Answered(BaseModel):
    model_config = ConfigDict(extra="forbid", defer_build=True)


class InputTokens(_Answered):
    prompt_tokens: int
    total_tokens: int


class Embedding(_Answered):
    """`embedding`: numbers, or these as float32, little-endian, in base64."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class EmbeddingsAnswer(_Answered):
    """`truncated`: indices of the inputs that were cut; it is there only where some were."""

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: InputTokens
    truncated: list[int] | None = None


def embeddings_answer(
    asked: EmbeddingsRequest, model: str, vectors: Sequence[bytes], tokens: int, truncated: Sequence[int]
) -> bytes:
    """`vectors`: float32, little-endian."""
    as_text = asked.encoding_format == "base64"
    data = [
        Embedding(index=index, embedding=base64.b64encode(vector).decode() if as_text else floats(vector))
        for index, vector in enumerate(vectors)
    ]
    answer = EmbeddingsAnswer(
        data=data,
        model=model,
        usage=InputTokens(prompt_tokens=tokens, total_tokens=tokens),
        truncated=list(truncated) or None,
    )
    return answer.model_dump_json(exclude_none=True).encode()


def floats(vector: bytes) -> list[float]:
    """All machines that MLX runs on are little-endian."""
    return array("f", vector).tolist()
