"""A text model in memory: its tokenizer, chat templates, grammars and rows."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from mlxhub.errors import MlxhubError
from mlxhub.refusals import InvalidRequest
from mlxhub.registry.template_renderer import Chat, Refused
from mlxhub.worker.engines.engine import (
    ChatPrompt,
    Grammar,
    JsonObject,
    Markers,
    ParsedCall,
    PreparedRequest,
    ToolParser,
)
from mlxhub.worker.engines.grammar import IN_TAGS, MISTRAL_HEADERS, MISTRAL_LIST, CallSyntax, Marks, Thinking
from mlxhub.worker.engines.guarded_processors import GuardedProcessors
from mlxhub.worker.engines.memory_limits import MemoryLimits
from mlxhub.worker.engines.mlx_lm_chats import ChatEncoder, longest_token, refusal
from mlxhub.worker.engines.model_rows import ModelRows
from mlxhub.worker.engines.read_prompts import is_always_cuttable
from mlxhub.worker.engines.reasoning import Reasoning
from mlxhub.worker.engines.rows import Row, Rows
from mlxhub.worker.engines.sampling import Samplers, SamplingDefaults, processors
from mlxhub.worker.engines.text_row import Detokenizer
from mlxhub.worker.engines.token_bytes import TokenBytes

if TYPE_CHECKING:
    from mlxhub.worker.engines.grammars import Grammars
    from mlxhub.worker.engines.seen import Seen

_THINK_TAIL_TOKENS = 32
# Begins like hardly anything that people write.
_ANOTHER_TEXT = "\u2042"


@dataclass(frozen=True, slots=True)
class EncodedChat:
    """`boundaries`: after how many tokens another chat, or the next turn of this one, may part from it.

    Where the tokens do not fit the context there are none.
    """

    tokens: list[int]
    boundaries: tuple[int, ...] = ()
    seen: "Seen | None" = None


class Sight(Protocol):
    """Of a model that sees."""

    def encode(self, chats: ChatEncoder, prompt: ChatPrompt, context_length: int) -> "Seen":
        """Raises as TextModel.encode_chat."""


class TextModel:
    """A model and its tokenizer in memory."""

    def __init__(
        self,
        tokenizer: Any,
        chats: ChatEncoder | None,
        rows: ModelRows,
        defaults: SamplingDefaults,
        reasoning: Reasoning,
        *,
        vocabulary: int,
        context_length: int,
        sight: Sight | None = None,
    ) -> None:
        self._rows = rows
        self._sight = sight
        self._tokenizer = tokenizer
        self._chats = chats
        self._samplers = Samplers(defaults, vocabulary)
        self._reasoning = reasoning
        self.vocabulary = vocabulary
        self.context_length = context_length
        # Of all others only what was kept at a boundary serves another prompt.
        self.is_always_cuttable = is_always_cuttable(rows.model)
        self.why_one_at_a_time = rows.why_one_at_a_time
        self.longest_token = longest_token(tokenizer)
        self.parse_tool_call = _tool_parser(tokenizer)
        self._text_bytes = TokenBytes(tokenizer)
        self._grammars: Grammars | None = None
        self.markers = Markers(
            think_start=self._reasoning.start,
            think_end=self._reasoning.end,
            tool_start=tokenizer.tool_call_start,
            tool_end=tokenizer.tool_call_end,
        )

    def find_grammar(self, request: PreparedRequest) -> Grammar | None:
        """One that is kept from an earlier request. Raises InvalidRequest."""
        if request.constraint is None or self._grammars is None:
            return None
        return self._grammars.find(request.constraint, _thinking(request))

    def compile_grammar(self, request: PreparedRequest) -> Grammar | None:
        """Raises InvalidRequest."""
        if request.constraint is None:
            return None
        if self._grammars is None:
            self._grammars = self._make_grammars()
        return self._grammars.compile(request.constraint, _thinking(request))

    def _make_grammars(self) -> "Grammars":
        """When the first answer is constrained: a tokenizer takes up to a second, and memory."""
        from mlxhub.worker.engines.grammars import Grammars, TokenizerFacts  # noqa: PLC0415 - as said above

        if not self._tokenizer.is_fast:
            raise InvalidRequest("This model's tokenizer does not allow answers to be constrained.")
        marks = Marks(
            self.markers.think_start,
            self.markers.think_end,
            self.markers.tool_start,
            _call_syntax(self._tokenizer),
        )
        return Grammars(
            TokenizerFacts(
                tokenizer_json=self._tokenizer.backend_tokenizer.to_str(),
                size=len(self._tokenizer),
                vocabulary=self.vocabulary,
                end_tokens=sorted(self._tokenizer.eos_token_ids),
                added=self._tokenizer.get_added_vocab(),
                marks=marks,
            )
        )

    def new_rows(self, limits: MemoryLimits, max_rows: int, largest_chunk: int) -> Rows:
        end_tokens = frozenset(self._tokenizer.eos_token_ids)
        return self._rows.make(
            end_tokens, self._text_bytes, limits, max_rows=max_rows, largest_chunk=largest_chunk
        )

    def new_row(self, handle: int, request: PreparedRequest) -> Row:
        chain = processors(request.sampling, len(request.tokens))
        if request.grammar is not None:
            chain.append(request.grammar.new_processor())
        return Row(
            handle,
            request.tokens,
            request.max_tokens,
            self._samplers.sampler(request.sampling),
            GuardedProcessors(chain) if chain else None,
            request.top_logprobs,
            request.boundaries,
            is_constrained=request.grammar is not None,
            seen=request.seen,
        )

    def close(self) -> None:
        """When nothing of it is computed any more."""
        if self._chats is not None:
            self._chats.close()

    def new_detokenizer(self) -> Detokenizer:
        detokenizer: Detokenizer = self._tokenizer.detokenizer
        return detokenizer

    def encode_chat(self, prompt: ChatPrompt, context_length: int) -> EncodedChat:
        """Raises ContextOverflow, and InvalidRequest with what the chat template said."""
        if self._chats is None:
            raise InvalidRequest("This model has no chat template. Use /v1/completions.", "messages")
        if prompt.media:
            assert self._sight is not None
            seen = self._sight.encode(self._chats, prompt, context_length)
            return EncodedChat(list(seen.keys), (), seen)
        others = () if self.is_always_cuttable else _parting_from(prompt)
        encoded = self._chats.encode((Chat(prompt.messages), *others), prompt, context_length)
        try:
            tokens = next(encoded)
        except MlxhubError:
            raise
        except Exception as error:  # the model's own code, or its tokenizer, raises anything
            raise refusal(Refused(str(error))) from error
        if isinstance(tokens, Refused):
            raise refusal(tokens)
        if len(tokens) >= context_length:
            return EncodedChat(tokens)
        places = {_shared(tokens, other) for other in encoded if not isinstance(other, Refused)}
        return EncodedChat(tokens, tuple(sorted(places)))

    def encode_text(self, text: str) -> list[int]:
        tokens: list[int] = self._tokenizer.encode(text)
        return tokens

    def ends_in_reasoning(self, tokens: Sequence[int]) -> bool:
        """Whether the answer to this prompt begins with thinking, as its template opened it."""
        return self._reasoning.is_open_after(self._tail(tokens))

    def ends_after_reasoning(self, tokens: Sequence[int]) -> bool:
        """Whether there is nothing to think."""
        return self._reasoning.is_over_after(self._tail(tokens))

    def _tail(self, tokens: Sequence[int]) -> str:
        """Only the end counts: users may quote tags."""
        tail: str = self._tokenizer.decode(list(tokens[-_THINK_TAIL_TOKENS:]))
        return tail


def _parting_from(prompt: ChatPrompt) -> Sequence[Chat]:
    """What the next turn of this chat begins with, and another chat with the same beginning."""
    first = next((place for place, said in enumerate(prompt.messages) if said["role"] != "system"), None)
    others = [Chat(prompt.messages, add_generation_prompt=False)]
    if first is not None:
        another = {**prompt.messages[first], "content": _ANOTHER_TEXT}
        others.append(Chat((*prompt.messages[:first], another)))
    return others


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """How many of the first tokens are the same."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (mine, its) in pairs if mine != its), min(len(one), len(other)))


def _tool_parser(tokenizer: Any) -> ToolParser:
    """Outlives an unload in answers that are being sent, so it must not know the model."""
    parse = tokenizer.tool_parser

    def parse_tool_call(text: str, tools: Sequence[JsonObject]) -> tuple[ParsedCall, ...]:
        try:
            found = parse(text, list(tools))
            return tuple(_parsed(call) for call in (found if isinstance(found, list) else [found]))
        except Exception as error:  # each of mlx-lm's 14 parsers raises what it likes
            raise ValueError(str(error)) from error

    return parse_tool_call


def _call_syntax(tokenizer: Any) -> CallSyntax | None:
    """None: there are no calls, or they are not JSON."""
    match tokenizer.init_kwargs.get("tool_parser_type"):
        case "json_tools":
            return IN_TAGS
        case "mistral":
            return MISTRAL_HEADERS if "[ARGS]" in str(tokenizer.chat_template) else MISTRAL_LIST
        case _:
            return None


def _thinking(request: PreparedRequest) -> Thinking:
    if request.in_reasoning:
        return Thinking.OPEN
    return Thinking.POSSIBLE if request.may_reason else Thinking.NONE


def _parsed(call: Any) -> ParsedCall:
    arguments = call.get("arguments", {})
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    name = call["name"]
    if not isinstance(name, str) or not name:
        raise ValueError("a call needs a name")
    return ParsedCall(name, text)


def vocabulary_of(config: Mapping[str, Any], tokenizer: Any) -> int:
    text_config = config.get("text_config") or {}
    size = config.get("vocab_size") or text_config.get("vocab_size") or len(tokenizer)
    return int(size)
