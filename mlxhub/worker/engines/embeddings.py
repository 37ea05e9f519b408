"""The engine of models that turn texts into vectors, or rank them: the texts of all requests in batches."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlxhub.core.memory import MemoryNeed
from mlxhub.errors import MlxhubError, NotLoaded
from mlxhub.files.imports import collector_at_rest
from mlxhub.refusals import ContextOverflow, InvalidRequest
from mlxhub.worker.engines.device_memory import DeviceMemory
from mlxhub.worker.engines.embedding_requests import (
    Embedded,
    EmbeddingRequest,
    EncodedText,
    PreparedTexts,
    RankingRequest,
    Scored,
)
from mlxhub.worker.engines.engine import Completed, Delta, EngineLoad, LoadedModel
from mlxhub.worker.engines.model_source import ModelSource
from mlxhub.worker.engines.open_files import kept_open_files
from mlxhub.worker.engines.places import Places, started
from mlxhub.worker.engines.text_batches import Chosen, TextBatches

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mlxhub.worker.engines.encoders import Encoder


@dataclass(frozen=True, slots=True)
class EmbeddingEngineOptions:
    """`batch_tokens`: what goes through the model together at most, with padding.

    `context_length` None: what the model can hold.
    """

    source: ModelSource
    max_concurrency: int
    batch_tokens: int
    context_length: int | None = None


class EmbeddingEngine:
    """An Engine of EmbeddingRequest and RankingRequest."""

    def __init__(self, options: EmbeddingEngineOptions) -> None:
        self._options = options
        self._memory = DeviceMemory()
        self._encoder: Encoder | None = None
        self._places: Places[PreparedTexts] = Places(options.max_concurrency)
        self._batches = TextBatches(options.batch_tokens)
        self._directory: Path | None = None

    def measure(self) -> MemoryNeed:
        self._directory = self._options.source.find()
        return self._options.source.measure(self._directory, self._options.batch_tokens)

    def load(self, reserved_bytes: int = 0) -> LoadedModel:
        source = self._options.source
        directory, self._directory = self._directory or source.find(), None
        self._memory.limit(reserved_bytes)
        with kept_open_files(), collector_at_rest():
            from mlxhub.worker.engines.encoders import load_encoder  # noqa: PLC0415 - only who loads pays for it

        self._encoder = encoder = load_encoder(source.name, directory, self._options.context_length)
        self._batches = TextBatches(min(self._options.batch_tokens, encoder.best_tokens))
        return LoadedModel(encoder.context_length, self._options.max_concurrency)

    def unload(self) -> None:
        self._places.clear()
        self._batches.clear()
        self._encoder = None
        self._memory.release()

    def prepare(self, request: EmbeddingRequest | RankingRequest) -> PreparedTexts:
        encoder = self._encoder
        if encoder is None:
            raise NotLoaded(self._options.source.name)
        match request:
            case EmbeddingRequest():
                return _prepared(encoder, request)
            case RankingRequest(query=query, documents=documents) if encoder.ranks:
                texts, cut = encoder.encode_pairs(query, documents)
                return PreparedTexts(tuple(texts), truncated=tuple(cut))
            case RankingRequest(query=query, documents=documents):
                asked, _ = encoder.encode([query], truncate=False)
                texts, cut = encoder.encode(documents, truncate=True)
                return PreparedTexts((*asked, *texts), truncated=tuple(cut), compared=True)

    def compile(self, request: PreparedTexts) -> PreparedTexts:
        return request

    def submit(self, handle: int, request: PreparedTexts) -> None:
        self._places.submit(handle, request)

    def cancel(self, handle: int) -> None:
        self._places.leave(handle)
        self._batches.remove(handle)

    def step(self) -> list[Delta]:
        if self._places.has_waiting:
            admitted = list(self._places.admit())
            for handle, request in admitted:
                self._batches.add(handle, [len(text.tokens) for text in request.texts])
            return started(iter(admitted))
        chosen = self._batches.next()
        deltas = self._encoded(chosen)
        for handle in dict.fromkeys(handle for handle, _ in chosen):
            if self._batches.is_done(handle):
                self._places.leave(handle)
                deltas.append(Completed(handle))
        return deltas

    def fail_all(self, error: MlxhubError) -> list[Delta]:
        self._batches.clear()
        return self._places.fail(error)

    @property
    def has_work(self) -> bool:
        return self._places.has_work

    @property
    def measured(self) -> EngineLoad:
        return self._memory.measured(len(self._places), self._places.peak)

    def _encoded(self, chosen: list[Chosen]) -> list[Delta]:
        assert self._encoder is not None
        texts = [self._places[handle].texts[index] for handle, index in chosen]
        if self._encoder.ranks:
            scores = self._encoder.score(texts)
            return [
                Scored(handle, index, score) for (handle, index), score in zip(chosen, scores, strict=True)
            ]
        vectors = self._encoder.embed(texts)
        return [
            Embedded(handle, index, _shortened(vector, self._places[handle].dimensions))
            for (handle, index), vector in zip(chosen, vectors, strict=True)
        ]


def _prepared(encoder: Encoder, request: EmbeddingRequest) -> PreparedTexts:
    """Raises InvalidRequest and ContextOverflow."""
    if encoder.ranks:
        raise InvalidRequest("This model ranks texts and has no vectors. Use /v1/rerank.", "model")
    if request.dimensions is not None and request.dimensions > encoder.width:
        raise InvalidRequest(f"dimensions: this model's vectors have {encoder.width}.", "dimensions")
    places = [place for place, text in enumerate(request.inputs) if isinstance(text, str)]
    words = [text for text in request.inputs if isinstance(text, str)]
    encoded, cut_words = encoder.encode(words, truncate=request.truncate)
    texts = dict(zip(places, encoded, strict=True))
    cut = [places[index] for index in cut_words]
    for place, tokens in enumerate(request.inputs):
        if isinstance(tokens, str):
            continue
        encoder.check_tokens(tokens)
        if len(tokens) > encoder.context_length:
            if not request.truncate:
                raise ContextOverflow(len(tokens), encoder.context_length)
            cut.append(place)
        texts[place] = EncodedText(tokens[: encoder.context_length])
    ordered = tuple(texts[place] for place in range(len(request.inputs)))
    return PreparedTexts(ordered, request.dimensions, tuple(sorted(cut)))


def _shortened(vector: NDArray[np.float32], dimensions: int | None) -> bytes:
    """Matryoshka: the first numbers, of length 1 again."""
    if dimensions is not None:
        vector = vector[:dimensions]
        length = float((vector @ vector) ** 0.5)
        vector = vector / length if length else vector
    return vector.astype("<f4").tobytes()
