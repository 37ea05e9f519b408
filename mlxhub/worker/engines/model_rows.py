"""How a model's rows are computed: in a batch, or one at a time where a batch cannot be."""

from collections.abc import Callable, Sequence
from typing import Any

from mlx_lm.models.cache import CacheList, make_prompt_cache

from mlxhub.worker.engines.drafted_row import DraftedRow
from mlxhub.worker.engines.lone_or_batch import LoneOrBatch
from mlxhub.worker.engines.lone_row import LoneRow
from mlxhub.worker.engines.memory_limits import MemoryLimits
from mlxhub.worker.engines.rows import Decodable, KvBits, Rows

# Of mlx-lm's recurrent models those that take the padding of a shorter prompt for a part of it.
_ALONE = frozenset({"baichuan_m1", "longcat_flash_ngram", "mamba", "recurrent_gemma", "rwkv7"})


class ModelRows:
    """`draft`: a smaller model that guesses `draft_tokens` at a time. `vocabulary`: of both, the smaller."""

    def __init__(
        self, model: Any, vocabulary: int, kv_bits: KvBits | None, draft: Any, draft_tokens: int
    ) -> None:
        self.model = model
        self._vocabulary = vocabulary
        self._kv_bits = kv_bits
        self._draft = draft
        self._draft_tokens = draft_tokens
        self.why_one_at_a_time = self._why_one_at_a_time()

    def make(
        self,
        end_tokens: frozenset[int],
        text_bytes: Callable[[int], bytes],
        limits: MemoryLimits,
        *,
        max_rows: int,
        largest_chunk: int,
    ) -> Rows:
        """Which read prompts in chunks of up to so many tokens."""
        decodable = Decodable(self.model, end_tokens, text_bytes, limits, self._kv_bits)
        if self._draft is not None:
            guesser = Decodable(self._draft, end_tokens, text_bytes, limits)
            return DraftedRow(decodable, guesser, self._draft_tokens, self._vocabulary)
        if self.why_one_at_a_time is not None:
            return LoneRow(decodable)
        return LoneOrBatch(decodable, max_rows, largest_chunk)

    def _why_one_at_a_time(self) -> str | None:
        if self._draft is not None:
            return "draft_model: guesses are checked for one request at a time"
        if self._kv_bits is not None:
            return "kv_bits: prompts kept in fewer bits cannot be batched"
        if type(self.model).__module__.rpartition(".")[2] in _ALONE:
            return "this kind of model answers otherwise when prompts are padded in a batch"
        unmergeable = _unmergeable(make_prompt_cache(self.model))
        return (
            None
            if unmergeable is None
            else f"this model keeps prompts as {unmergeable}, which cannot be batched"
        )


def _unmergeable(state: Sequence[Any]) -> str | None:
    for layer in state:
        if isinstance(layer, CacheList):
            if within := _unmergeable(layer.caches):
                return within
        elif not hasattr(layer, "merge"):
            return type(layer).__name__
    return None
