"""The engine of text models: continuous batching with stop strings, UTF-8 and limits per row."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from loguru import logger

from mlxhub.core.engine_options import ReasoningParser, ToolCallParser
from mlxhub.core.memory import MemoryNeed, Use
from mlxhub.core.model_type import ModelType
from mlxhub.errors import MlxhubError, NotLoaded
from mlxhub.files.imports import collector_at_rest
from mlxhub.refusals import ContextOverflow, GenerationFailed, InvalidRequest
from mlxhub.registry.template_renderer import TemplateRenderer
from mlxhub.worker.engines.checkpoint import (
    LoadOptions,
    find_adapter,
    find_checkpoint,
    find_draft,
    find_template,
)
from mlxhub.worker.engines.content import characters_of
from mlxhub.worker.engines.device_memory import DeviceMemory
from mlxhub.worker.engines.engine import (
    ChatPrompt,
    Delta,
    EngineLoad,
    Failed,
    GenerationRequest,
    LoadedModel,
    Piece,
    PreparedRequest,
    Prompt,
    Started,
    TextPrompt,
    TokenPrompt,
)
from mlxhub.worker.engines.measuring import measure
from mlxhub.worker.engines.open_files import kept_open_files
from mlxhub.worker.engines.prefill import Prefill
from mlxhub.worker.engines.text_row import TextRow

if TYPE_CHECKING:
    from mlxhub.worker.engines.memory_limits import MemoryLimits
    from mlxhub.worker.engines.mlx_lm_adapter import EncodedChat, TextModel
    from mlxhub.worker.engines.read_prompts import ReadPrompts
    from mlxhub.worker.engines.rows import Rows, SampledToken
    from mlxhub.worker.engines.stored_prompts import StoredPrompts


@dataclass(frozen=True, slots=True)
class TextEngineOptions:
    """`context_length` None: what the model can hold. `kept_…`: bounds of what is kept of prompts in memory,
    `stored_…`: where it is kept in files, and how much. `model_type`: LM, or MULTIMODAL.
    """

    name: str
    model_path: str
    max_concurrency: int
    prefill: Prefill
    context_length: int | None = None
    trust_remote_code: bool = False
    kept_prompts: int = 16
    kept_bytes: int = 2_000_000_000
    stored_bytes: int = 0
    stored_prompts: str | None = None
    kv_bits: int | None = None
    draft_model: str | None = None
    draft_tokens: int = 3
    adapter_path: str | None = None
    chat_template_file: str | None = None
    tool_call_parser: ToolCallParser | None = None
    reasoning_parser: ReasoningParser | None = None
    model_type: ModelType = ModelType.LM


class TextEngine:
    """An Engine. Its own queue feeds the batch, so that prefill stays within its share of each step."""

    def __init__(self, options: TextEngineOptions) -> None:
        self._options = options
        self._model: TextModel | None = None
        self._decoding: Rows | None = None
        self._read: ReadPrompts | None = None
        self._limits: MemoryLimits | None = None
        self._context_length = 0
        self._max_rows = options.max_concurrency
        self._waiting: deque[tuple[int, PreparedRequest]] = deque()
        self._rows: dict[int, TextRow] = {}
        self._peak_rows = 0
        self._memory = DeviceMemory()
        self._found: LoadOptions | None = None

    def measure(self) -> MemoryNeed:
        options = self._options
        self._found = found = self._check()
        from mlxhub.worker.engines.device import has_slow_halves  # noqa: PLC0415 - imported by the check

        use = Use(
            context_length=options.context_length,
            max_concurrency=options.max_concurrency,
            prefill_step=options.prefill.alone,
            kv_bits=options.kv_bits,
            slow_halves=has_slow_halves(),
            kept_entries=options.kept_prompts,
            kept_bytes=options.kept_bytes,
        )
        return measure(found, use)

    def load(self, reserved_bytes: int = 0) -> LoadedModel:
        # Its program starts while the model is read.
        renderer = TemplateRenderer(self._options.name)
        try:
            return self._load(renderer, reserved_bytes)
        except BaseException:
            renderer.close()
            raise

    def _check(self) -> LoadOptions:
        """What is to be loaded, while MLX is imported. Raises LoadFailed."""
        # MLX, transformers and tokenizers cost 80 MB: a worker that has nothing loaded does not pay them.
        # A child tries the chat template while they are imported: each takes a while.
        with ThreadPoolExecutor(1, "check") as checks:
            finding = checks.submit(self._find)
            with kept_open_files(), collector_at_rest():
                self._loader()
            return finding.result()

    def _loader(self) -> Callable[[LoadOptions, TemplateRenderer], TextModel]:
        """MLX's libraries are imported by the first call."""
        if self._options.model_type is ModelType.MULTIMODAL:
            from mlxhub.worker.engines.vision_model import load_vision_model  # noqa: PLC0415 - as it says

            return load_vision_model
        from mlxhub.worker.engines.mlx_lm_loading import load_text_model  # noqa: PLC0415 - likewise

        return load_text_model

    def _load(self, renderer: TemplateRenderer, reserved_bytes: int) -> LoadedModel:
        options = self._options
        found, self._found = self._found or self._check(), None
        from mlxhub.worker.engines.read_prompts import ReadPrompts  # noqa: PLC0415 - likewise

        self._limits = self._memory.limit(reserved_bytes)
        model = self._loader()(found, renderer)
        wanted = options.context_length or model.context_length
        self._context_length = min(wanted, model.context_length)
        self._model = model
        self._max_rows = options.max_concurrency if model.why_one_at_a_time is None else 1
        self._read = ReadPrompts(options.kept_prompts, options.kept_bytes, self._stored(found))
        self._peak_rows = 0
        return LoadedModel(
            self._context_length,
            self._max_rows,
            model.markers,
            model.parse_tool_call,
            model.why_one_at_a_time,
        )

    def _find(self) -> LoadOptions:
        """What is to be loaded, once it has been checked. Raises LoadFailed."""
        options = self._options
        name, trust = options.name, options.trust_remote_code
        directory = find_checkpoint(
            name, options.model_path, model_type=options.model_type, trust_remote_code=trust
        )
        adapter, draft, template = options.adapter_path, options.draft_model, options.chat_template_file
        return LoadOptions(
            name=name,
            directory=directory,
            model_type=options.model_type,
            trust_remote_code=trust,
            adapter=None if adapter is None else find_adapter(name, adapter),
            chat_template=None if template is None else find_template(name, template),
            tool_call_parser=options.tool_call_parser,
            reasoning_parser=options.reasoning_parser,
            kv_bits=options.kv_bits,
            draft=None if draft is None else find_draft(name, draft, trust_remote_code=trust),
            draft_tokens=options.draft_tokens,
        )

    def _stored(self, loaded: LoadOptions) -> StoredPrompts | None:
        from mlxhub.worker.engines.fingerprint import fingerprint  # noqa: PLC0415 - imports MLX
        from mlxhub.worker.engines.stored_prompts import LARGEST_FILE, StoredPrompts  # noqa: PLC0415 - likewise

        options = self._options
        if options.stored_prompts is None:
            return None
        # What does not fit into memory would be read from its file for nothing.
        is_on = options.kept_prompts > 0
        return StoredPrompts(
            Path(options.stored_prompts),
            fingerprint(loaded),
            options.stored_bytes if is_on else 0,
            largest=min(options.kept_bytes, LARGEST_FILE),
        )

    def unload(self) -> None:
        self._close_rows()
        self._waiting.clear()
        if self._read is not None:
            self._read.store()
        if self._model is not None:
            self._model.close()
        self._model = self._read = self._limits = None
        self._memory.release()

    def prepare(self, request: GenerationRequest) -> PreparedRequest:
        model = self._model
        if model is None:
            raise NotLoaded(self._options.name)
        # Tokenizing takes gigabytes for a text of 30 MB: what cannot fit is refused before.
        fewest_tokens = characters_of(request.prompt) // model.longest_token
        if fewest_tokens > self._context_length:
            raise ContextOverflow(fewest_tokens, self._context_length, at_least=True)
        encoded = self._encode(model, request.prompt)
        tokens, seen = encoded.tokens, encoded.seen
        if not tokens:
            raise InvalidRequest("The prompt is empty.", "prompt")
        room = self._context_length - len(tokens)
        if room < 1:
            raise ContextOverflow(len(tokens), self._context_length)
        if seen is None:
            _check_ids("prompt", tokens, model.vocabulary)
        _check_ids("logit_bias", request.sampling.logit_bias, model.vocabulary)
        is_chat = isinstance(request.prompt, ChatPrompt)
        prepared = PreparedRequest(
            tokens=tuple(tokens),
            max_tokens=min(request.max_tokens or room, room),
            sampling=request.sampling,
            stops=request.stops,
            in_reasoning=is_chat and model.ends_in_reasoning(tokens),
            boundaries=encoded.boundaries,
            top_logprobs=request.top_logprobs,
            may_reason=_wants_reasoning(request.prompt) and not model.ends_after_reasoning(tokens),
            constraint=request.constraint,
            seen=seen,
        )
        return replace(prepared, grammar=model.find_grammar(prepared))

    def _encode(self, model: TextModel, prompt: Prompt) -> EncodedChat:
        from mlxhub.worker.engines.mlx_lm_adapter import EncodedChat  # noqa: PLC0415 - imported by the load

        match prompt:
            case ChatPrompt():
                return model.encode_chat(prompt, self._context_length)
            case TextPrompt(text):
                return EncodedChat(model.encode_text(text))
            case TokenPrompt(tokens):
                return EncodedChat(list(tokens))

    def compile(self, request: PreparedRequest) -> PreparedRequest:
        if self._model is None:
            raise NotLoaded(self._options.name)
        return replace(request, grammar=self._model.compile_grammar(request))

    def submit(self, handle: int, request: PreparedRequest) -> None:
        self._waiting.append((handle, request))

    def cancel(self, handle: int) -> None:
        self._waiting = deque(entry for entry in self._waiting if entry[0] != handle)
        self._remove([handle] if handle in self._rows else [])

    def step(self) -> list[Delta]:
        deltas: list[Delta] = self._admit()
        if deltas or not self._rows:
            # They are told at once that they have a place; the next step is their first.
            return deltas
        assert self._decoding is not None
        step = self._decoding.next(self._options.prefill.chunk(len(self._rows)))
        for handle in step.ready:
            self._rows[handle].decoding = True
        # Of the others what they read is kept at their end, and serves for every beginning of it.
        self._keep_read([handle for handle in step.at_boundary if self._rows[handle].has_boundaries])
        over: list[int] = []
        for sampled in step.sampled:
            delta = _advanced(self._rows[sampled.handle], sampled)
            deltas.append(delta)
            if sampled.read is not None and self._read is not None:
                self._read.keep(sampled.read)
                del self._rows[sampled.handle]
            elif not isinstance(delta, Piece):
                over.append(sampled.handle)
        self._remove(over)
        return deltas

    def fail_all(self, error: MlxhubError) -> list[Delta]:
        failed: list[Delta] = [Failed(row.handle, error) for row in self._rows.values()]
        self._close_rows()
        return failed

    @property
    def has_work(self) -> bool:
        return bool(self._rows or self._waiting)

    @property
    def measured(self) -> EngineLoad:
        kept, kept_bytes = (0, 0) if self._read is None else (len(self._read), self._read.used_bytes)
        return self._memory.measured(len(self._rows), self._peak_rows, kept, kept_bytes)

    def _admit(self) -> list[Delta]:
        deltas: list[Delta] = []
        while self._waiting and len(self._rows) < self._max_rows and self._prefill_has_room():
            handle, request = self._waiting.popleft()
            try:
                deltas.append(self._begin(handle, request))
            except Exception:  # noqa: BLE001 - one request's fault must not reach the others
                logger.exception("The engine refused a request")
                deltas.append(
                    Failed(handle, GenerationFailed("the engine refused the request; see the log."))
                )
        self._peak_rows = max(self._peak_rows, len(self._rows))
        return deltas

    def _begin(self, handle: int, request: PreparedRequest) -> Started:
        assert self._model is not None
        assert self._read is not None
        assert self._limits is not None
        if self._decoding is None:
            self._decoding = self._model.new_rows(self._limits, self._max_rows, self._options.prefill.alone)
        known = self._read.find(request.tokens)
        cached = 0 if known is None else len(known.tokens)
        row = TextRow(handle, request, self._model.new_detokenizer(), len(request.tokens) - cached)
        self._decoding.insert(self._model.new_row(handle, request), known)
        self._rows[handle] = row
        return Started(handle, cached)

    def _prefill_has_room(self) -> bool:
        _, coming = self._waiting[0]
        reading = [row.unread_tokens for row in self._rows.values() if not row.decoding]
        others_decode = len(reading) < len(self._rows)
        return self._options.prefill.has_room(reading, len(coming.tokens), others_decode=others_decode)

    def _remove(self, handles: list[int]) -> None:
        """What they have read by now is kept: a client that left may ask again."""
        self._keep_read(handles)
        for handle in handles:
            del self._rows[handle]
        if handles and self._decoding is not None:
            self._decoding.remove(handles)

    def _keep_read(self, handles: list[int]) -> None:
        if handles and self._decoding is not None and self._read is not None:
            for read in self._decoding.read(handles).values():
                self._read.keep(read)

    def _close_rows(self) -> None:
        decoding, self._decoding = self._decoding, None
        self._rows.clear()
        if decoding is not None:
            decoding.close()


def _advanced(row: TextRow, sampled: SampledToken) -> Delta:
    if sampled.fault is not None:
        return Failed(row.handle, sampled.fault)
    return row.advance(sampled.token, sampled.reason, sampled.logprob)


def _wants_reasoning(prompt: Prompt) -> bool:
    """Of a model that can. Without a word about it most templates leave it to the model."""
    return isinstance(prompt, ChatPrompt) and prompt.template_options.get("enable_thinking") is not False


def _check_ids(param: str, tokens: Iterable[int], vocabulary: int) -> None:
    if max(tokens, default=0) >= vocabulary:
        raise InvalidRequest(f"This model's token ids go from 0 to {vocabulary - 1}.", param)
