"""The engine of text models: continuous batching with stop strings, UTF-8 and limits per row."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from loguru import logger

from mlxhub.errors import MlxhubError, NotLoaded
from mlxhub.refusals import ContextOverflow, GenerationFailed, InvalidRequest
from mlxhub.worker.engines.checkpoint import find_checkpoint
from mlxhub.worker.engines.engine import (
    ChatPrompt,
    Delta,
    EngineLoad,
    Failed,
    Finished,
    FinishReason,
    GenerationRequest,
    LoadedModel,
    Piece,
    PreparedRequest,
    Prompt,
    Started,
    TextPrompt,
    TokenPrompt,
)
from mlxhub.worker.engines.open_files import kept_open_files
from mlxhub.worker.output.stops import StopMatcher

if TYPE_CHECKING:
    from mlxhub.worker.engines.mlx_lm_adapter import Batch, Detokenizer, SampledToken, TextModel

_BROKEN_CHARACTER = "\ufffd"


@dataclass(frozen=True, slots=True)
class TextEngineOptions:
    """`context_length` None: what the model can hold."""

    name: str
    model_path: str
    max_concurrency: int
    prefill_step: int
    context_length: int | None = None
    trust_remote_code: bool = False


@dataclass(slots=True)
class _Row:
    handle: int
    request: PreparedRequest
    detokenizer: Detokenizer
    stops: StopMatcher
    tokens: int = 0
    decoding: bool = False


class TextEngine:
    """An Engine. Its own queue feeds the batch, so that prefill stays within its share of each step."""

    def __init__(self, options: TextEngineOptions) -> None:
        self._options = options
        self._model: TextModel | None = None
        self._batch: Batch | None = None
        self._context_length = 0
        self._waiting: deque[tuple[int, PreparedRequest]] = deque()
        self._rows: dict[int, _Row] = {}
        self._peak_rows = 0
        # Known from the first load on; then it tells the truth also of what an unload left behind.
        self._memory_bytes: Callable[[], tuple[int, int]] | None = None

    def load(self) -> LoadedModel:
        options = self._options
        directory = find_checkpoint(
            options.name, options.model_path, trust_remote_code=options.trust_remote_code
        )
        # MLX, transformers and tokenizers cost 80 MB: a worker that has nothing loaded does not pay them.
        with kept_open_files():
            from mlxhub.worker.engines.mlx_lm_adapter import (  # noqa: PLC0415 - as said above
                load_text_model,
                memory_bytes,
            )

        self._memory_bytes = memory_bytes
        model = load_text_model(directory, trust_remote_code=options.trust_remote_code)
        wanted = options.context_length or model.context_length
        self._context_length = min(wanted, model.context_length)
        self._model = model
        self._peak_rows = 0
        return LoadedModel(self._context_length, model.markers, model.parse_tool_call)

    def unload(self) -> None:
        if self._model is None:
            return
        from mlxhub.worker.engines.mlx_lm_adapter import (  # noqa: PLC0415 - imported by the load already
            finish_device_work,
            release_memory,
        )

        self._close_batch()
        self._waiting.clear()
        self._model = None
        finish_device_work()
        release_memory()

    def prepare(self, request: GenerationRequest) -> PreparedRequest:
        model = self._model
        if model is None:
            raise NotLoaded(self._options.name)
        # Tokenizing takes gigabytes for a text of 30 MB: what cannot fit is refused before.
        fewest_tokens = _characters(request.prompt) // model.longest_token
        if fewest_tokens > self._context_length:
            raise ContextOverflow(fewest_tokens, self._context_length, at_least=True)
        tokens = _encode(model, request.prompt)
        if not tokens:
            raise InvalidRequest("The prompt is empty.", "prompt")
        room = self._context_length - len(tokens)
        if room < 1:
            raise ContextOverflow(len(tokens), self._context_length)
        _check_ids("prompt", tokens, model.vocabulary)
        _check_ids("logit_bias", request.sampling.logit_bias, model.vocabulary)
        chat = isinstance(request.prompt, ChatPrompt)
        in_reasoning = chat and model.ends_in_reasoning(tokens)
        prepared = PreparedRequest(
            tokens=tuple(tokens),
            max_tokens=min(request.max_tokens or room, room),
            sampling=request.sampling,
            stops=request.stops,
            in_reasoning=in_reasoning,
            may_reason=_wants_reasoning(request.prompt) and not model.ends_after_reasoning(tokens),
            constraint=request.constraint,
        )
        return replace(prepared, grammar=model.find_grammar(prepared))

    def compile(self, request: PreparedRequest) -> PreparedRequest:
        if self._model is None:
            raise NotLoaded(self._options.name)
        return replace(request, grammar=self._model.compile_grammar(request))

    def submit(self, handle: int, request: PreparedRequest) -> None:
        self._waiting.append((handle, request))

    def cancel(self, handle: int) -> None:
        self._waiting = deque(entry for entry in self._waiting if entry[0] != handle)
        self._remove([uid for uid, row in self._rows.items() if row.handle == handle])

    def step(self) -> list[Delta]:
        deltas: list[Delta] = self._admit()
        if not self._rows:
            return deltas
        assert self._batch is not None
        ready, tokens = self._batch.next()
        for uid in ready:
            self._rows[uid].decoding = True
        over: list[int] = []
        for sampled in tokens:
            row = self._rows[sampled.uid]
            delta = self._advance(row, sampled)
            deltas.append(delta)
            if not isinstance(delta, Piece):
                del self._rows[sampled.uid]
                if sampled.reason is None:
                    over.append(sampled.uid)
        if over:
            self._batch.remove(over)
        return deltas

    def fail_all(self, error: MlxhubError) -> list[Delta]:
        failed: list[Delta] = [Failed(row.handle, error) for row in self._rows.values()]
        self._close_batch()
        return failed

    @property
    def has_work(self) -> bool:
        return bool(self._rows or self._waiting)

    @property
    def measured(self) -> EngineLoad:
        if self._memory_bytes is None:
            return EngineLoad()
        active, peak = self._memory_bytes()
        return EngineLoad(len(self._rows), self._peak_rows, active, peak)

    def _admit(self) -> list[Delta]:
        deltas: list[Delta] = []
        while self._waiting and len(self._rows) < self._options.max_concurrency and self._prefill_has_room():
            handle, request = self._waiting.popleft()
            assert self._model is not None
            if self._batch is None:
                self._batch = self._model.new_batch(self._options.max_concurrency, self._options.prefill_step)
            row = _Row(handle, request, self._model.new_detokenizer(), StopMatcher(request.stops))
            try:
                uid = self._batch.insert(
                    request.tokens, request.max_tokens, request.sampling, request.grammar
                )
            except Exception:  # noqa: BLE001 - one request's fault must not reach the others
                logger.exception("The batch refused a request")
                deltas.append(
                    Failed(handle, GenerationFailed("the engine refused the request; see the log."))
                )
                continue
            self._rows[uid] = row
            deltas.append(Started(handle))
        self._peak_rows = max(self._peak_rows, len(self._rows))
        return deltas

    def _prefill_has_room(self) -> bool:
        """Prompts prefill padded to the longest chunk, while decoding waits: twice the step at most.

        A single long prompt leaves room for one neighbour, so that a short one need not wait for its end.
        """
        _, coming = self._waiting[0]
        lengths = [len(row.request.tokens) for row in self._rows.values() if not row.decoding]
        longest = max(min(length, self._options.prefill_step) for length in (*lengths, len(coming.tokens)))
        return not lengths or (len(lengths) + 1) * longest <= 2 * self._options.prefill_step

    def _advance(self, row: _Row, sampled: SampledToken) -> Delta:
        """What one more token means for its row. A fault in one row's text is that row's alone."""
        row.tokens += 1
        if sampled.fault is not None:
            return Failed(row.handle, sampled.fault)
        try:
            if sampled.reason is not FinishReason.STOP:
                row.detokenizer.add_token(sampled.token)
            if sampled.reason is not None:
                row.detokenizer.finalize()
            text = row.detokenizer.last_segment
        except (LookupError, ValueError, UnicodeError):
            logger.exception("A row's tokens could not be decoded")
            return Failed(row.handle, GenerationFailed("the tokenizer could not decode the answer."))
        if sampled.reason is not None:
            text = text.rstrip(_BROKEN_CHARACTER)
        matched = row.stops.feed(text)
        if matched.stopped:
            return Finished(row.handle, matched.text, FinishReason.STOP, row.tokens)
        if sampled.reason is not None:
            return Finished(row.handle, matched.text + row.stops.finish(), sampled.reason, row.tokens)
        return Piece(row.handle, matched.text)

    def _remove(self, uids: list[int]) -> None:
        for uid in uids:
            del self._rows[uid]
        if uids and self._batch is not None:
            self._batch.remove(uids)

    def _close_batch(self) -> None:
        batch, self._batch = self._batch, None
        self._rows.clear()
        if batch is not None:
            batch.close()


def _encode(model: TextModel, prompt: Prompt) -> list[int]:
    match prompt:
        case ChatPrompt():
            return model.encode_chat(prompt)
        case TextPrompt(text):
            return model.encode_text(text)
        case TokenPrompt(tokens):
            return list(tokens)


def _wants_reasoning(prompt: Prompt) -> bool:
    """Of a model that can. Without a word about it most templates leave it to the model."""
    return isinstance(prompt, ChatPrompt) and prompt.template_options.get("enable_thinking") is not False


def _characters(prompt: Prompt) -> int:
    match prompt:
        case ChatPrompt(messages=messages):
            contents = (message.get("content") for message in messages)
            return sum(len(content) for content in contents if isinstance(content, str))
        case TextPrompt(text):
            return len(text)
        case TokenPrompt():
            return 0


def _check_ids(param: str, tokens: Iterable[int], vocabulary: int) -> None:
    if max(tokens, default=0) >= vocabulary:
        raise InvalidRequest(f"This model's token ids go from 0 to {vocabulary - 1}.", param)
