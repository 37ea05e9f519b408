"""POST /v1/embeddings and /v1/rerank."""

import asyncio
import uuid
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from mlxhub.protocol.openai.embeddings import EmbeddingsRequest, embeddings_answer
from mlxhub.protocol.parameters import ignored_header
from mlxhub.protocol.rerank import RankingMeta, RerankRequest, rerank_answer
from mlxhub.web.streams import run_unless_disconnected
from mlxhub.worker.engines.embedding_requests import (
    Embedded,
    EmbeddingRequest,
    PreparedTexts,
    RankingRequest,
    Scored,
)
from mlxhub.worker.model_service import ModelService
from mlxhub.worker.routes.bodies import read_model


class EmbeddingRoutes:
    def __init__(self, service: ModelService) -> None:
        self._service = service

    async def embed(self, request: Request) -> Response:
        asked = await read_model(request, EmbeddingsRequest)
        self._service.check_model(asked.model)
        wanted = EmbeddingRequest(asked.inputs, asked.dimensions, truncate=asked.truncate is True)
        prepared, vectors, _ = await run_unless_disconnected(request.receive, self._encoded(wanted))
        body = await asyncio.to_thread(
            embeddings_answer,
            asked,
            self._service.settings.name,
            [vectors[index] for index in range(len(vectors))],
            prepared.prompt_tokens,
            prepared.truncated,
        )
        return Response(body, headers=ignored_header(asked), media_type="application/json")

    async def rank(self, request: Request) -> Response:
        asked = await read_model(request, RerankRequest)
        self._service.check_model(asked.model)
        wanted = RankingRequest(asked.query, asked.texts)
        prepared, vectors, scores = await run_unless_disconnected(request.receive, self._encoded(wanted))
        if prepared.compared:
            ordered = [vectors[index] for index in range(len(vectors))]
            told = await asyncio.to_thread(_similarities, ordered)
        else:
            told = [scores[index] for index in range(len(scores))]
        meta = RankingMeta(
            method="embedding similarity" if prepared.compared else "cross-encoder",
            truncated=list(prepared.truncated),
        )
        identity = (f"rerank-{uuid.uuid4().hex}", self._service.settings.name)
        body = rerank_answer(asked, identity, told, prepared.prompt_tokens, meta)
        return Response(body, headers=ignored_header(asked), media_type="application/json")

    async def _encoded(
        self, wanted: EmbeddingRequest | RankingRequest
    ) -> tuple[PreparedTexts, dict[int, bytes], dict[int, float]]:
        """Vectors and scores by index: there are only ones or the others."""
        vectors: dict[int, bytes] = {}
        scores: dict[int, float] = {}
        async with self._service.generate([wanted]) as generation:
            while generation.has_more:
                for delta in await generation.take():
                    match delta:
                        case Embedded(index=index, vector=vector):
                            vectors[index] = vector
                        case Scored(index=index, score=score):
                            scores[index] = score
            prepared = generation.prepared[0]
        assert isinstance(prepared, PreparedTexts)
        return prepared, vectors, scores


def _similarities(vectors: Sequence[bytes]) -> list[float]:
    """Cosines between the first, the query, and each other; their lengths are 1."""
    import numpy as np  # noqa: PLC0415 - the model has brought it

    query, *documents = (np.frombuffer(vector, "<f4").astype(np.float64) for vector in vectors)
    return [float(query @ document) for document in documents]
