"""POST /v1/rerank, as Cohere's and Jina's clients know it: what a client sends and gets."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from mlxhub.protocol.openai.embeddings import InputTokens
from mlxhub.protocol.openai.sampling import Lenient
from mlxhub.protocol.parameters import Ignored, Refused

MAX_DOCUMENTS = 1024


class TextDocument(Lenient):
    text: str


class RerankRequest(Lenient):
    """An explicit null is the same as leaving the field out. What is too long of a document is cut."""

    model: str
    query: Annotated[str, Field(min_length=1)]
    documents: Annotated[
        list[str | TextDocument], Field(min_length=1, max_length=MAX_DOCUMENTS, fail_fast=True)
    ]
    top_n: int | None = Field(None, ge=1, description="The best; else all.")
    return_documents: bool | None = None
    truncation: Annotated[Any, Refused("documents that are too long are cut.", unless=(True,))] = None
    max_chunks_per_doc: Annotated[Any, Ignored()] = None
    rank_fields: Annotated[Any, Ignored(unless=("text",))] = None

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(each if isinstance(each, str) else each.text for each in self.documents)


class _Answered(BaseModel):
    model_config = ConfigDict(extra="forbid", defer_build=True)


class RankedText(_Answered):
    text: str


class Ranked(_Answered):
    """`index`: in the request."""

    index: int
    relevance_score: float
    document: RankedText | None = None


class RankingMeta(_Answered):
    """`method`: what ranked them. `truncated`: indices of the documents that were cut."""

    method: Literal["cross-encoder", "embedding similarity"]
    truncated: list[int]


class RerankAnswer(_Answered):
    id: str
    object: Literal["list"] = "list"
    model: str
    results: list[Ranked]
    usage: InputTokens
    meta: RankingMeta


def rerank_answer(
    asked: RerankRequest,
    identity: tuple[str, str],
    scores: Sequence[float],
    tokens: int,
    meta: RankingMeta,
) -> bytes:
    """The best first; of equals the earlier. `identity`: of the answer, and the model's name."""
    order = sorted(range(len(scores)), key=lambda index: (-scores[index], index))
    texts = asked.texts
    results = [
        Ranked(
            index=index,
            relevance_score=scores[index],
            document=RankedText(text=texts[index]) if asked.return_documents else None,
        )
        for index in order[: asked.top_n]
    ]
    answer = RerankAnswer(
        id=identity[0],
        model=identity[1],
        results=results,
        usage=InputTokens(prompt_tokens=tokens, total_tokens=tokens),
        meta=meta,
    )
    return answer.model_dump_json(exclude_none=True).encode()
