"""What an engine takes and gives. Knows neither asyncio nor HTTP nor MLX."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Protocol, TypeAlias, TypeVar

from mlxhub.core.constraint import Constraint
from mlxhub.core.medium import Medium
from mlxhub.core.memory import MemoryNeed
from mlxhub.errors import MlxhubError
from mlxhub.protocol.parts import SampledLogprob
from mlxhub.worker.engines.audio_requests import (
    Heard,
    HeardLanguage,
    HearingRequest,
    PreparedSound,
    SpeakingRequest,
    Spoken,
)
from mlxhub.worker.engines.embedding_requests import (
    Embedded,
    EmbeddingRequest,
    PreparedTexts,
    RankingRequest,
    Scored,
)
from mlxhub.worker.engines.image_requests import Drawing, DrawingRequest, Drawn, PreparedDrawing
from mlxhub.worker.engines.proxied_requests import ProxiedRequest
from mlxhub.worker.engines.seen import Seen

Json: TypeAlias = str | int | float | bool | Sequence["Json"] | Mapping[str, "Json"] | None
JsonObject: TypeAlias = Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class ChatPrompt:
    """Messages as the model's chat template expects them: contents are text, tool arguments are objects.

    Of one with `media` the content is parts, {"type": "text", "text": …} and {"type": "image"}, "video" or
    "audio": each of the latter is the next of the media.
    """

    messages: tuple[JsonObject, ...]
    tools: tuple[JsonObject, ...] = ()
    template_options: JsonObject = field(default_factory=dict)
    media: tuple[Medium, ...] = ()


@dataclass(frozen=True, slots=True)
class TextPrompt:
    text: str


@dataclass(frozen=True, slots=True)
class TokenPrompt:
    tokens: tuple[int, ...]


Prompt: TypeAlias = ChatPrompt | TextPrompt | TokenPrompt


@dataclass(frozen=True, slots=True)
class SamplingOptions:
    """None: not said, the engine decides."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """`max_tokens` None: as many as the context holds. `stops` end the answer and are not part of it.

    `top_logprobs`: how likely each token was is told, with so many of the likeliest; None: it is not told.
    """

    prompt: Prompt
    sampling: SamplingOptions = SamplingOptions()
    max_tokens: int | None = None
    stops: tuple[str, ...] = ()
    top_logprobs: int | None = None
    constraint: Constraint | None = None


class Grammar(Protocol):
    """A constraint, compiled for one model."""

    def new_processor(self) -> Callable[[Any, Any], Any]:
        """For one more row: its tokens and logits to logits."""


@dataclass(frozen=True, slots=True)
class PreparedRequest:
    """A request as tokens, ready for the batch. `in_reasoning`: the prompt ends inside a thinking span.

    `boundaries`: after so many tokens other prompts may part from this one; only for models whose memory of a
    prompt cannot be cut back to a beginning of it. `may_reason`: the answer may open a thinking span itself.
    `grammar`: the constraint, once it is compiled. `seen`: the prompt has media; its tokens are the keys.
    """

    tokens: tuple[int, ...]
    max_tokens: int
    sampling: SamplingOptions
    stops: tuple[str, ...] = ()
    in_reasoning: bool = False
    boundaries: tuple[int, ...] = ()
    top_logprobs: int | None = None
    may_reason: bool = False
    constraint: Constraint | None = None
    grammar: Grammar | None = None
    seen: Seen | None = None

    @property
    def prompt_tokens(self) -> int:
        return len(self.tokens)

    def for_row(self, row: int) -> "PreparedRequest":
        """Each of several answers to one prompt draws from a key of its own."""
        seed = self.sampling.seed
        return self if seed is None else replace(self, sampling=replace(self.sampling, seed=seed + row))


# What is asked of engines, and what they make of that before they begin.
Asked: TypeAlias = (
    GenerationRequest
    | EmbeddingRequest
    | RankingRequest
    | HearingRequest
    | SpeakingRequest
    | DrawingRequest
    | ProxiedRequest
)
Prepared: TypeAlias = (
    PreparedRequest | PreparedTexts | PreparedSound | SpeakingRequest | PreparedDrawing | ProxiedRequest
)


class FinishReason(StrEnum):
    STOP = "stop"
    LENGTH = "length"


@dataclass(frozen=True, slots=True)
class Started:
    """The row has a place in the batch. `cached_tokens` of its prompt need not be read again."""

    handle: int
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Piece:
    """The text of one more token; empty where its characters are not complete or may become a stop.

    `logprobs` where asked for: of the tokens whose text is all told by now, and was not before.
    """

    handle: int
    text: str
    logprobs: tuple[SampledLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Finished:
    """`text` is what was still held back. `completion_tokens` counts every token sampled, also the last.

    `stop`: of the request's stops, the one that ended it.
    """

    handle: int
    text: str
    reason: FinishReason
    completion_tokens: int
    logprobs: tuple[SampledLogprob, ...] = ()
    stop: str | None = None


@dataclass(frozen=True, slots=True)
class Completed:
    """Everything was said that is no text."""

    handle: int


@dataclass(frozen=True, slots=True)
class Failed:
    handle: int
    error: MlxhubError


Delta: TypeAlias = (
    Started
    | Piece
    | Finished
    | Embedded
    | Scored
    | Heard
    | HeardLanguage
    | Spoken
    | Drawing
    | Drawn
    | Completed
    | Failed
)


@dataclass(frozen=True, slots=True)
class ParsedCall:
    """A tool call the model wrote. `arguments` is JSON text."""

    name: str
    arguments: str


ToolParser: TypeAlias = Callable[[str, Sequence[JsonObject]], tuple[ParsedCall, ...]]


@dataclass(frozen=True, slots=True)
class Markers:
    """How this model's text marks spans. None: no such span. An empty tool end: until the answer ends."""

    think_start: str | None = None
    think_end: str | None = None
    tool_start: str | None = None
    tool_end: str | None = None


def no_calls(_text: str, _tools: Sequence[JsonObject]) -> tuple[ParsedCall, ...]:
    raise ValueError("this model writes no calls")


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """What is known of a model in memory. `parse_tool_call` raises ValueError on what is no call.

    `context_length` None: it reads no tokens. `max_rows` are answered together, as far as the model can;
    `why_one_at_a_time`, where it cannot. `longest_step_seconds`: what a step of it may take, if that is long.
    """

    context_length: int | None
    max_rows: int
    markers: Markers = Markers()
    parse_tool_call: ToolParser = no_calls
    why_one_at_a_time: str | None = None
    longest_step_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class EngineLoad:
    """Rows in the batch (prefill and decode), the most since the load, what is kept of prompts, and MLX's own
    memory counters. Of what is done in steps that can be counted: those that are done, and all."""

    rows: int = 0
    peak_rows: int = 0
    kept_prompts: int = 0
    kept_bytes: int = 0
    active_bytes: int = 0
    peak_bytes: int = 0
    done_steps: int = 0
    total_steps: int = 0


Asked_contra = TypeVar("Asked_contra", contravariant=True)
PreparedOwn = TypeVar("PreparedOwn")


class Engine(Protocol[Asked_contra, PreparedOwn]):
    """Owned by one thread: `prepare` and `compile` may each be called from another, one call at a time."""

    def measure(self) -> MemoryNeed:
        """What the next load will take; that one does not check again what this has. Raises LoadFailed."""

    def load(self, reserved_bytes: int = 0) -> LoadedModel:
        """It may take so much memory; 0: nobody counts. Raises LoadFailed."""

    def unload(self) -> None:
        """Give the memory back, also after a load that failed."""

    def prepare(self, request: Asked_contra) -> PreparedOwn:
        """Raises InvalidRequest or ContextOverflow."""

    def compile(self, request: PreparedOwn) -> PreparedOwn:
        """The same with its grammar. Takes seconds where the constraint is hostile. Raises InvalidRequest."""

    def submit(self, handle: int, request: PreparedOwn) -> None:
        """Queue it. From now on `step` speaks of `handle`, until Finished, Completed, Failed or `cancel`."""

    def cancel(self, handle: int) -> None:
        """Forget it, in any stage, also one that is unknown or over."""

    def step(self) -> list[Delta]:
        """One decode for all rows and one prefill chunk; of what is no text a piece that takes as long."""

    def fail_all(self, error: MlxhubError) -> list[Delta]:
        """After a step that raised: fail the rows it worked on and start with a clean batch."""

    @property
    def has_work(self) -> bool: ...

    @property
    def measured(self) -> EngineLoad: ...
