"""All that is known of llguidance: its tokenizers, compiled grammars, and masks on a row's logits."""

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import mlx.core as mx
import numpy as np
from llguidance import LLMatcher, LLParserLimits, LLTokenizer
from loguru import logger

from mlxhub.core.constraint import Constraint, JsonText
from mlxhub.refusals import InvalidRequest
from mlxhub.worker.engines.grammar import Marks, Thinking, answer_grammar

MAX_GRAMMARS = 32
MAX_GRAMMAR_BYTES = 4_000_000
# Bounds of one compilation and of one step, both under a second where a usual step takes 0.1 ms.
_LIMITS = LLParserLimits(
    max_lexer_states=20_000,  # of 1 to 2 KB, kept with the grammar
    precompute_large_lexemes=False,
    verbose_errors=False,  # they would show the answer
)


@dataclass(frozen=True, slots=True)
class TokenizerFacts:
    """`tokenizer_json`: as the tokenizers library writes it. `added`: its tokens that stand for a whole text.

    `size`: of its vocabulary; the model's, `vocabulary`, may be padded, or cut.
    """

    tokenizer_json: str
    size: int
    vocabulary: int
    end_tokens: Sequence[int]
    added: Mapping[str, int]
    marks: Marks


class Grammar:
    """Compiled. Its rows share what was learned of it on the way."""

    def __init__(self, matcher: LLMatcher, param: str) -> None:
        self.param = param
        self.is_broken = False
        self._matcher = matcher

    def new_processor(self) -> "Masking":
        return Masking(self, self._matcher.deep_copy())


class Masking:
    """A logits processor that follows one row through its grammar. Raises InvalidRequest."""

    def __init__(self, grammar: Grammar, matcher: LLMatcher) -> None:
        self._grammar = grammar
        self._matcher = matcher
        self._has_begun = False

    def __call__(self, tokens: mx.array, logits: mx.array) -> mx.array:
        # The model computes while the mask is computed.
        mx.async_eval(logits)  # type: ignore[no-untyped-call]
        if self._has_begun:
            self._matcher.consume_token(_token(tokens[-1]))
        self._has_begun = True
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        if self._matcher.is_error():
            self._grammar.is_broken = True
            raise InvalidRequest(
                f"The schema became too complex: {_said(self._matcher)}", self._grammar.param
            )
        allowed = np.zeros(logits.shape[-1], dtype=bool)
        known = np.unpackbits(bits, count=min(8 * len(bits), len(allowed)), bitorder="little")
        allowed[: len(known)] = known
        return mx.where(mx.array(allowed), logits, mx.array(-np.inf, dtype=logits.dtype))


def _token(last: mx.array) -> int:
    token = last.item()
    assert isinstance(token, int)
    return token


class Grammars:
    """Those of one model, the last used of them kept."""

    def __init__(self, facts: TokenizerFacts) -> None:
        self._tokenizer = _tokenizer(facts)
        special = {
            text: token for text, token in facts.added.items() if self._tokenizer.is_special_token(token)
        }
        self._marks = replace(facts.marks, specials=special, end_tokens=tuple(facts.end_tokens))
        self._kept: OrderedDict[str, Grammar] = OrderedDict()

    def compile(self, constraint: Constraint, thinking: Thinking) -> Grammar:
        """Raises InvalidRequest."""
        text = answer_grammar(constraint, self._marks, thinking)
        param = constraint.param if isinstance(constraint, JsonText) else "tools"
        kept = self._kept.pop(text, None)
        grammar = kept if kept and not kept.is_broken else _compiled(self._tokenizer, text, param)
        self._kept[text] = grammar
        while len(self._kept) > MAX_GRAMMARS or sum(map(len, self._kept)) > MAX_GRAMMAR_BYTES:
            self._kept.popitem(last=False)
        return grammar


def _tokenizer(facts: TokenizerFacts) -> LLTokenizer:
    content = json.loads(facts.tokenizer_json)
    content["truncation"] = content["padding"] = None
    size = max(facts.size, facts.vocabulary)
    ends = [token for token in facts.end_tokens if token < facts.size]
    try:
        return LLTokenizer(json.dumps(content), n_vocab=size, eos_token=ends or None)
    except BaseException as error:  # a panic in Rust is no Exception
        logger.exception("llguidance does not take this tokenizer")
        raise InvalidRequest("This model's tokenizer does not allow answers to be constrained.") from error


def _compiled(tokenizer: LLTokenizer, text: str, param: str) -> Grammar:
    try:
        matcher = LLMatcher(tokenizer, text, log_level=0, limits=_LIMITS)
    except BaseException as panic:  # a panic in Rust is no Exception
        logger.exception("llguidance broke on a grammar")
        raise InvalidRequest(f"{param}: the schema cannot be compiled.", param) from panic
    if matcher.is_error():
        raise InvalidRequest(f"{param}: the schema cannot be enforced: {_said(matcher)}", param)
    return Grammar(matcher, param)


def _said(matcher: LLMatcher) -> str:
    return " ".join(matcher.get_error().removesuffix("<non-verbose/>").split())[:300]
