"""Rows whose prompts have media: these are read here, and what comes after them as any other text."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import mlx.core as mx
import mlx.nn as nn
from loguru import logger
from mlx_lm.models.cache import KVCache, can_trim_prompt_cache, trim_prompt_cache
from mlx_vlm.generate.ar import _is_sequence_aligned_prompt_kwarg, _slice_sequence_aligned_prompt_kwarg
from mlx_vlm.generate.common import _chunked_prefill_enabled
from mlx_vlm.models.cache import KVCache as VisionKVCache
from mlx_vlm.models.cache import make_prompt_cache

from mlxhub.core.medium import MediumKind
from mlxhub.errors import MlxhubError
from mlxhub.refusals import GenerationFailed, InvalidRequest
from mlxhub.worker.engines.memory_limits import MemoryLimits
from mlxhub.worker.engines.model_rows import ModelRows
from mlxhub.worker.engines.position_shift import PositionShift
from mlxhub.worker.engines.read_prompts import Read, State
from mlxhub.worker.engines.rows import Row, Rows, SampledToken, Step
from mlxhub.worker.engines.seen import Seen


class SightedLanguage(nn.Module):  # type: ignore[misc,name-defined]
    """A model of mlx-vlm as one of mlx-lm that knows nothing of pictures: tokens to logits.

    Where its positions are not those of the tokens, what it reads carries how far they are apart.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self._language: Any = model.language_model
        # Its own memory of them is of the last prompt, whoever's that was: they are always said to it.
        self._has_shifts = hasattr(self._language, "get_rope_index")

    @property
    def layers(self) -> Any:
        return self._language.layers

    def make_cache(self) -> State:
        """mlx-lm's own where that will do: of these it is known how they are cut."""
        layers = [
            KVCache() if type(layer) is VisionKVCache else layer  # type: ignore[no-untyped-call]
            for layer in make_prompt_cache(self._language)
        ]
        return [*layers, PositionShift()]

    def __call__(self, tokens: mx.array, cache: State) -> mx.array:
        *layers, shift = cache
        more = {} if not self._has_shifts else {"position_ids": _positions(tokens, layers, shift.shifts)}
        logits: mx.array = self._language(tokens, cache=layers, **more).logits
        shift.advance(tokens.shape[1])
        return logits


class SightedModelRows(ModelRows):
    """Rows of a model that sees."""

    def __init__(self, language: SightedLanguage, vocabulary: int) -> None:
        super().__init__(language, vocabulary, None, None, 0)
        self._language = language

    def make(
        self,
        end_tokens: frozenset[int],
        text_bytes: Callable[[int], bytes],
        limits: MemoryLimits,
        *,
        max_rows: int,
        largest_chunk: int,
    ) -> Rows:
        rows = super().make(end_tokens, text_bytes, limits, max_rows=max_rows, largest_chunk=largest_chunk)
        return SightedRows(rows, self._language)


class SightedRows:
    """Rows. One chunk of one prompt with media in each step, beside what all others do."""

    def __init__(self, rows: Rows, language: SightedLanguage) -> None:
        self._rows = rows
        self._language = language
        self._reading: dict[int, _Reading] = {}
        self._inside: set[int] = set()

    def insert(self, row: Row, known: Read | None = None) -> None:
        known_length = 0 if known is None else len(known.tokens)
        if row.seen is None or known_length >= row.seen.media_end:
            self._inside.add(row.handle)
            self._rows.insert(row, known)
        else:
            self._reading[row.handle] = _Reading(row, row.seen, known)

    def next(self, chunk: int) -> Step:
        step = self._rows.next(chunk) if self._inside else Step()
        self._inside -= {sampled.handle for sampled in step.sampled if sampled.reason is not None}
        if self._reading:
            handle, reading = next(iter(self._reading.items()))
            try:
                read = reading.read_on(self._language, chunk)
            except Exception as error:  # noqa: BLE001 - a model's own code, for this prompt alone
                del self._reading[handle]
                return replace(
                    step, sampled=(*step.sampled, SampledToken(handle, 0, None, fault=_fault(error)))
                )
            if read is not None:
                del self._reading[handle]
                self._inside.add(handle)
                self._rows.insert(reading.row, read)
        return step

    def read(self, handles: Sequence[int]) -> dict[int, Read]:
        return self._rows.read(handles)

    def remove(self, handles: Sequence[int]) -> None:
        for handle in handles:
            self._reading.pop(handle, None)
            self._inside.discard(handle)
        self._rows.remove(handles)

    def close(self) -> None:
        self._reading.clear()
        self._inside.clear()
        self._rows.close()


class _Reading:
    """A prompt with media on its way into memory, all but its last token."""

    def __init__(self, row: Row, seen: Seen, known: Read | None) -> None:
        self.row = row
        self._seen = seen
        self._state: State | None = None if known is None else known.state
        self._done = 0 if known is None else len(known.tokens)
        self._embedded: dict[str, Any] | None = None
        self._chunked = True

    def read_on(self, language: SightedLanguage, chunk: int) -> Read | None:
        """One step of it: what it sees first, then a chunk. What was read, at the end."""
        if self._embedded is None:
            self._see(language)
            return None
        assert self._state is not None
        *layers, _ = self._state
        length = len(self.row.tokens)
        end = min(self._done + chunk, length - 1) if self._chunked else length
        more = {key: _between(key, value, self._done, end, length) for key, value in self._embedded.items()}
        tokens = self._seen.inputs["input_ids"][:, self._done : end]
        language.model.language_model(tokens, cache=layers, **more)
        mx.eval([layer.state for layer in layers])
        mx.clear_cache()
        self._done = end
        if self._done < length - 1:
            return None
        return self._ended(layers)

    def _see(self, language: SightedLanguage) -> None:
        inputs = dict(self._seen.inputs)
        tokens, mask = inputs.pop("input_ids"), inputs.pop("attention_mask", None)
        # First: some models keep what they were last asked of.
        plain = self._as_text(language, tokens)
        features = language.model.get_input_embeddings(
            tokens, inputs.pop("pixel_values", None), mask=mask, **inputs
        )
        told = {key: value for key, value in features.to_dict().items() if value is not None}
        mx.eval(list(told.values()))
        for begin, (kind, text) in plain.items():
            if mx.array_equal(told["inputs_embeds"][:, begin : begin + 1], text):
                raise InvalidRequest(
                    f"messages: this model left the {kind} of the prompt out. Some take one only where no "
                    "picture is with it.",
                    "messages",
                )
        self._embedded = {**inputs, **told}
        if self._state is None:
            self._state = language.make_cache()
        self._chunked = _chunked_prefill_enabled(
            language.model,
            input_ids=tokens,
            inputs_embeds=told["inputs_embeds"],
            prompt_cache=self._state[:-1],
            prefill_kwargs=self._embedded,
        )

    def _as_text(self, language: SightedLanguage, tokens: mx.array) -> dict[int, tuple[MediumKind, mx.array]]:
        """What models know where a video or sound begins if they look at none, which some do in silence."""
        told: dict[int, tuple[MediumKind, mx.array]] = {}
        for place in self._seen.places:
            if place.kind != "image":
                begin = place.begin
                features = language.model.get_input_embeddings(tokens[:, begin : begin + 1], None)
                told[begin] = place.kind, features.to_dict()["inputs_embeds"]
        mx.eval([text for _, text in told.values()])
        return told

    def _ended(self, layers: State) -> Read:
        assert self._embedded is not None
        surplus = self._done - (len(self.row.tokens) - 1)
        if surplus and not can_trim_prompt_cache(layers):
            raise GenerationFailed("this model cannot take back the last token of a prompt with media.")
        trim_prompt_cache(layers, surplus)
        tokens = self.row.tokens[:-1]
        shift = PositionShift.after(
            len(tokens), _steps(self._embedded, [place.end for place in self._seen.places])
        )
        self._embedded = None
        return Read(tokens, [*layers, shift])


def _fault(error: Exception) -> MlxhubError:
    if isinstance(error, MlxhubError):
        return error
    logger.opt(exception=error).error("A prompt with media broke")
    return GenerationFailed("the model broke at this prompt. The log says more.")


class _Offset(Protocol):
    offset: Any


def _positions(tokens: mx.array, layers: Sequence[_Offset], shifts: Sequence[int]) -> mx.array:
    """(3, rows, tokens): time, height and width are one for text."""
    offset = next((layer.offset for layer in layers if hasattr(layer, "offset")), 0)
    begins = mx.maximum(mx.array(offset), 0).reshape(-1, 1) + mx.array(list(shifts)).reshape(-1, 1)
    rows, length = tokens.shape
    positions = mx.broadcast_to(begins + mx.arange(length)[None], (rows, length))
    return mx.broadcast_to(positions[None], (3, rows, length))


def _between(key: str, value: Any, begin: int, end: int, length: int) -> Any:
    """Of what is said of each token of a prompt, that of these; of anything else all."""
    if key == "inputs_embeds":
        return value[:, begin:end]
    if isinstance(value, mx.array) and _is_sequence_aligned_prompt_kwarg(key, value, length):
        return _slice_sequence_aligned_prompt_kwarg(key, value, start=begin, stop=end)
    return value


def _steps(embedded: dict[str, Any], ends: Sequence[int]) -> list[tuple[int, int]]:
    """As of PositionShift: where the text goes on behind each picture."""
    positions = embedded.get("position_ids")
    if not isinstance(positions, mx.array) or positions.ndim != 3:
        return []
    highest = positions.max(axis=(0, 1))
    return [(end, _number(highest[:end].max()) + 1 - end) for end in ends]


def _number(one: mx.array) -> int:
    number = one.item()
    assert isinstance(number, int)
    return number
