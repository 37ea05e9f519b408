"""An encoder in memory, by mlx-vlm: texts to vectors, or pairs of texts to scores; on the engine thread."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
from mlx_vlm.embedding_loader import load_embedding_model
from mlx_vlm.models.pooling import read_pooling_config
from mlx_vlm.reranker_loader import is_sequence_classifier_config, load_sequence_classification_model
from mlx_vlm.utils import load_config
from numpy.typing import NDArray
from transformers import AutoTokenizer

from mlxhub.core.memory import context_length_of, is_quantised
from mlxhub.errors import LoadFailed
from mlxhub.refusals import ContextOverflow, InvalidRequest
from mlxhub.worker.engines.cpu_layers import replace_slow_layers
from mlxhub.worker.engines.device import has_slow_halves, is_cpu
from mlxhub.worker.engines.embedding_requests import EncodedText

# What transformers says where a tokenizer knows no limit is 1e30.
_NO_LIMIT = 10**9
# Texts that are tokenized at a time: it takes a hundred times their size, for as long as it lasts.
_TOGETHER = 64
# More of them leave a CPU's caches: at 2,048 each took 1.4 to 1.7 times as long.
_CPU_BATCH_TOKENS = 384
# RoBERTa counts positions from behind that of its padding.
_POSITIONS_BEFORE = {"xlm-roberta": 2, "roberta": 2, "xlm_roberta": 2}


class Encoder:
    """`ranks`: it scores pairs, and has no vectors. `width`: numbers in a vector.

    `best_tokens`: that are computed together, if there are as many.
    """

    def __init__(self, model: Any, tokenizer: Any, context_length: int, *, ranks: bool) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self.context_length = context_length
        self.ranks = ranks
        self.best_tokens = _CPU_BATCH_TOKENS if is_cpu() else sys.maxsize
        self.width = 1 if ranks else self.embed([EncodedText((0,))]).shape[1]
        self._vocabulary = len(tokenizer)
        # In the vocabulary's own spelling, which has at least one character for each of the text's.
        self._longest_token = max(map(len, tokenizer.get_vocab()), default=1)

    def encode(self, texts: Sequence[str], *, truncate: bool) -> tuple[list[EncodedText], list[int]]:
        """And which were cut. Raises ContextOverflow where one is too long and may not be."""
        most_characters = self.context_length * self._longest_token
        encoded: list[EncodedText] = []
        cut: list[int] = []
        for begin in range(0, len(texts), _TOGETHER):
            some = [text[: most_characters + 1] for text in texts[begin : begin + _TOGETHER]]
            for index, tokens in enumerate(self._tokenizer(some)["input_ids"], begin):
                at_least = len(texts[index]) > most_characters
                if at_least or len(tokens) > self.context_length:
                    if not truncate:
                        raise ContextOverflow(len(tokens), self.context_length, at_least=at_least)
                    cut.append(index)
                encoded.append(EncodedText(tuple(tokens)))
        for index in cut:
            told = self._tokenizer(
                texts[index][:most_characters], truncation=True, max_length=self.context_length
            )
            encoded[index] = EncodedText(tuple(told["input_ids"]))
        return encoded, cut

    def encode_pairs(self, query: str, documents: Sequence[str]) -> tuple[list[EncodedText], list[int]]:
        """And of which the document was cut. Raises ContextOverflow where the query alone is too long."""
        own = self._tokenizer(query[: self.context_length * self._longest_token])["input_ids"]
        if len(own) > self.context_length // 2:
            raise ContextOverflow(len(own), self.context_length // 2)
        most_characters = self.context_length * self._longest_token
        encoded: list[EncodedText] = []
        cut: list[int] = []
        for index, document in enumerate(documents):
            said = self._tokenizer(query, document[:most_characters])
            if len(document) > most_characters or len(said["input_ids"]) > self.context_length:
                cut.append(index)
                said = self._tokenizer(
                    query,
                    document[:most_characters],
                    truncation="only_second",
                    max_length=self.context_length,
                )
            types = said.get("token_type_ids")
            encoded.append(EncodedText(tuple(said["input_ids"]), None if types is None else tuple(types)))
        return encoded, cut

    def check_tokens(self, tokens: Sequence[int]) -> None:
        """Raises InvalidRequest."""
        if max(tokens) >= self._vocabulary:
            raise InvalidRequest(f"This model's token ids go from 0 to {self._vocabulary - 1}.", "input")

    def embed(self, texts: Sequence[EncodedText]) -> NDArray[np.float32]:
        """A row of numbers for each, of length 1."""
        tokens, mask = self._padded(texts)
        vectors = self._model(tokens, attention_mask=mask).text_embeds.astype(mx.float32)
        mx.eval(vectors)
        return np.array(vectors)

    def score(self, texts: Sequence[EncodedText]) -> list[float]:
        """Of each pair, from 0 to 1."""
        tokens, mask = self._padded(texts)
        types = None
        if texts[0].types is not None:
            types = mx.array(_padded([text.types or () for text in texts], 0))
        logits = self._model(tokens, attention_mask=mask, token_type_ids=types).logits
        scores = mx.sigmoid(logits.astype(mx.float32).reshape(-1))
        return [float(score) for score in np.array(scores)]

    def _padded(self, texts: Sequence[EncodedText]) -> tuple[mx.array, mx.array]:
        padding = self._tokenizer.pad_token_id or 0
        tokens = _padded([text.tokens for text in texts], padding)
        mask = _padded([[1] * len(text.tokens) for text in texts], 0)
        return mx.array(tokens), mx.array(mask)


def load_encoder(name: str, directory: Path, context_length: int | None) -> Encoder:
    """Raises LoadFailed where the files are of no encoder, and whatever mlx-vlm raises on bad ones."""
    config = load_config(directory)
    tokenizer: Any = AutoTokenizer.from_pretrained(directory, local_files_only=True)
    ranks = is_sequence_classifier_config(config)
    if ranks:
        model = _load_ranker(name, directory, config)
    else:
        model = load_embedding_model(directory)
        model.pooling_config = read_pooling_config(directory)  # type: ignore[no-untyped-call]
    if has_slow_halves() and not is_quantised(config):
        model.set_dtype(mx.float32)
    if is_cpu():
        replace_slow_layers(model)
    mx.eval(model.parameters())
    longest = longest_text(directory, config, tokenizer)
    return Encoder(model, tokenizer, min(context_length or longest, longest), ranks=ranks)


def _load_ranker(name: str, directory: Path, config: dict[str, Any]) -> Any:
    try:
        return load_sequence_classification_model(directory, config=config)
    except ValueError as error:
        raise LoadFailed(name, f"it cannot rank texts: {error}") from error


def longest_text(directory: Path, config: dict[str, Any], tokenizer: Any) -> int:
    """Tokens: the least of what its files allow."""
    limits = [context_length_of(config) - _POSITIONS_BEFORE.get(str(config.get("model_type")), 0)]
    if tokenizer.model_max_length < _NO_LIMIT:
        limits.append(int(tokenizer.model_max_length))
    said = directory / "sentence_bert_config.json"
    if said.exists() and isinstance(most := json.loads(said.read_text()).get("max_seq_length"), int):
        limits.append(most)
    return min(limits)


def _padded(rows: Sequence[Sequence[int]], padding: int) -> NDArray[np.int32]:
    longest = max(map(len, rows))
    return np.array([[*row, *[padding] * (longest - len(row))] for row in rows], dtype=np.int32)
