"""The engine of tests: says the last user's message back, word by word, at the speed and with the faults of
its script. Everything around it is as with a real model, and it starts in no time."""

import mmap
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mlxhub.core.memory import MemoryNeed
from mlxhub.errors import LoadFailed, MlxhubError, NotLoaded
from mlxhub.protocol.parts import SampledLogprob, TokenLogprob
from mlxhub.refusals import ContextOverflow, InvalidRequest
from mlxhub.worker.engines.echo_faults import EchoFaults, take_memory
from mlxhub.worker.engines.echo_script import EchoScript, parse_script
from mlxhub.worker.engines.echo_tokens import END, EchoDetokenizer, answer_to, bytes_of, split, tokens_of
from mlxhub.worker.engines.engine import (
    Delta,
    EngineLoad,
    Failed,
    FinishReason,
    GenerationRequest,
    JsonObject,
    LoadedModel,
    ParsedCall,
    Piece,
    PreparedRequest,
    Started,
)
from mlxhub.worker.engines.text_row import TextRow

CONTEXT_LENGTH = 32_768
# A client that leaves is heeded after this at the latest.
_SLICE_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class EchoEngineOptions:
    name: str
    model_path: str
    max_concurrency: int
    context_length: int | None = None


@dataclass(slots=True)
class _Row:
    """`prompt`: its text. `answer`: the tokens not said yet; `due`: when the next one is."""

    text: TextRow
    prompt: bytes
    answer: deque[int]
    left: int
    top_logprobs: int | None
    due: float
    said: int = 0


class EchoEngine:
    """An Engine."""

    def __init__(
        self,
        options: EchoEngineOptions,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._options = options
        self._clock = clock
        self._sleep = sleep
        self._script = EchoScript()
        self._faults = EchoFaults(options.name, ())
        self._weights: mmap.mmap | None = None
        self._peak_bytes = 0
        self._context_length = options.context_length or CONTEXT_LENGTH
        self._waiting: deque[tuple[int, PreparedRequest]] = deque()
        self._rows: dict[int, _Row] = {}
        self._peak_rows = 0

    def measure(self) -> MemoryNeed:
        return MemoryNeed(
            weights_bytes=self._learned().weights_bytes,
            row_bytes=0,
            rows=self._options.max_concurrency,
            context_tokens=self._context_length,
            kept_bytes=0,
        )

    def load(self, reserved_bytes: int = 0) -> LoadedModel:
        script = self._learned()
        self._sleep(script.load_seconds)
        self._weights = take_memory(script.weights_bytes)
        self._faults.in_load()
        self._peak_rows = 0
        self._peak_bytes = max(self._peak_bytes, self._active_bytes)
        return LoadedModel(self._context_length, self._options.max_concurrency)

    def _learned(self) -> EchoScript:
        """Raises LoadFailed."""
        try:
            script = parse_script(self._options.model_path)
        except ValueError as error:
            raise LoadFailed(self._options.name, f"model_path: {error}.") from None
        if script != self._script:
            self._script, self._faults = script, EchoFaults(self._options.name, script.faults)
        return script

    def unload(self) -> None:
        self._rows.clear()
        self._waiting.clear()
        if self._weights is not None:
            self._weights.close()
            self._weights = None

    def prepare(self, request: GenerationRequest) -> PreparedRequest:
        if self._weights is None:
            raise NotLoaded(self._options.name)
        tokens = tokens_of(request.prompt)
        if not tokens:
            raise InvalidRequest("The prompt is empty.", "prompt")
        room = self._context_length - len(tokens)
        if room < 1:
            raise ContextOverflow(len(tokens), self._context_length)
        return PreparedRequest(
            tokens=tokens,
            max_tokens=min(request.max_tokens or room, room),
            sampling=request.sampling,
            stops=request.stops,
            top_logprobs=request.top_logprobs,
            constraint=request.constraint,
        )

    def compile(self, request: PreparedRequest) -> PreparedRequest:
        raise InvalidRequest("An echo cannot be held to a format or to a tool.")

    def submit(self, handle: int, request: PreparedRequest) -> None:
        self._waiting.append((handle, request))

    def cancel(self, handle: int) -> None:
        self._waiting = deque(entry for entry in self._waiting if entry[0] != handle)
        self._rows.pop(handle, None)

    def step(self) -> list[Delta]:
        if (started := self._admit()) or not self._rows:
            return started
        wait = min(row.due for row in self._rows.values()) - self._clock()
        if wait > 0:
            self._sleep(min(wait, _SLICE_SECONDS))
            return []
        now = self._clock()
        return [self._say(handle, now) for handle, row in list(self._rows.items()) if row.due <= now]

    def fail_all(self, error: MlxhubError) -> list[Delta]:
        failed: list[Delta] = [Failed(handle, error) for handle in self._rows]
        self._rows.clear()
        return failed

    @property
    def has_work(self) -> bool:
        return bool(self._rows or self._waiting)

    @property
    def measured(self) -> EngineLoad:
        """What it took and has not given back, without what the interpreter needs."""
        return EngineLoad(
            rows=len(self._rows),
            peak_rows=self._peak_rows,
            active_bytes=self._active_bytes,
            peak_bytes=self._peak_bytes,
        )

    @property
    def _active_bytes(self) -> int:
        weights = 0 if self._weights is None else self._script.weights_bytes
        return weights + self._faults.leaked_bytes

    def _admit(self) -> list[Delta]:
        started: list[Delta] = []
        while self._waiting and len(self._rows) < self._options.max_concurrency:
            handle, request = self._waiting.popleft()
            self._rows[handle] = self._begin(handle, request)
            started.append(Started(handle))
        self._peak_rows = max(self._peak_rows, len(self._rows))
        return started

    def _begin(self, handle: int, request: PreparedRequest) -> _Row:
        prompt = b"".join(map(bytes_of, request.tokens))
        answer = answer_to(request.tokens)
        if self._faults.split_characters(prompt):
            answer = split(answer)
        return _Row(
            text=TextRow(handle, request, EchoDetokenizer(), len(request.tokens)),
            prompt=prompt,
            answer=deque(answer),
            left=request.max_tokens,
            top_logprobs=request.top_logprobs,
            due=self._clock() + self._script.prefill_seconds + self._script.token_seconds,
        )

    def _say(self, handle: int, now: float) -> Delta:
        row = self._rows[handle]
        row.said += 1
        self._faults.before_token(row.said, row.prompt)
        row.left -= 1
        row.due = now + self._script.token_seconds
        reason = None
        if not row.answer:
            reason = FinishReason.STOP
        elif row.left == 0:
            reason = FinishReason.LENGTH
        token = row.answer.popleft() if row.answer else END
        delta = row.text.advance(token, reason, _logprob(token, row.top_logprobs))
        if not isinstance(delta, Piece):
            del self._rows[handle]
        return delta


def _logprob(token: int, top_logprobs: int | None) -> SampledLogprob | None:
    """An echo is certain."""
    if top_logprobs is None:
        return None
    sampled = TokenLogprob(bytes_of(token), 0.0)
    return SampledLogprob(sampled, (sampled,) if top_logprobs else ())


def _parse_no_tool_call(_text: str, _tools: Sequence[JsonObject]) -> tuple[ParsedCall, ...]:
    raise ValueError("an echo calls no tools")
