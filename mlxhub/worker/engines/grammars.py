"""All that is known of llguidance: its tokenizers, compiled grammars, and masks on a row's logits."""

import json
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import mlx.core as mx
import numpy as np
from llguidance import LLMatcher, LLTokenizer
from loguru import logger

from mlxhub.core.constraint import Constraint, JsonText
from mlxhub.refusals import InvalidRequest
from mlxhub.worker.engines.grammar import Marks, Thinking, answer_grammar
from mlxhub.worker.engines.schema_check import check_schemas
from mlxhub.worker.engines.schema_trial import LIMITS, said

MAX_GRAMMARS = 32
MAX_GRAMMAR_CHARACTERS = 4_000_000


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
            raise InvalidRequest(f"The schema became too complex: {said(self._matcher)}", self._grammar.param)
        allowed = np.zeros(logits.shape[-1], dtype=bool)
        known = np.unpackbits(bits, count=min(8 * len(bits), len(allowed)), bitorder="little")
        allowed[: len(known)] = known
        return mx.where(mx.array(allowed), logits, mx.array(-np.inf, dtype=logits.dtype))


def _token(last: mx.array) -> int:
    token = last.item()
    assert isinstance(token, int)
    return token


class Grammars:
    """Those of one model, the last used of them kept. Two threads may use it, one of them to compile."""

    def __init__(self, facts: TokenizerFacts) -> None:
        self._tokenizer = _tokenizer(facts)
        special = {
            text: token for text, token in facts.added.items() if self._tokenizer.is_special_token(token)
        }
        self._marks = replace(facts.marks, specials=special, end_tokens=tuple(facts.end_tokens))
        self._kept: OrderedDict[str, Grammar] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, constraint: Constraint, thinking: Thinking) -> Grammar | None:
        """One that is kept. Raises InvalidRequest."""
        return self._take(answer_grammar(constraint, self._marks, thinking).text)

    def compile(self, constraint: Constraint, thinking: Thinking) -> Grammar:
        """Raises InvalidRequest."""
        wanted = answer_grammar(constraint, self._marks, thinking)
        if kept := self._take(wanted.text):
            return kept
        check_schemas(wanted.schemas)
        param = constraint.param if isinstance(constraint, JsonText) else "tools"
        grammar = _compiled(self._tokenizer, wanted.text, param)
        with self._lock:
            self._kept[wanted.text] = grammar
            while len(self._kept) > MAX_GRAMMARS or sum(map(len, self._kept)) > MAX_GRAMMAR_CHARACTERS:
                self._kept.popitem(last=False)
        return grammar

    def _take(self, text: str) -> Grammar | None:
        with self._lock:
            grammar = self._kept.pop(text, None)
            if grammar is None or grammar.is_broken:
                return None
            self._kept[text] = grammar
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
        matcher = LLMatcher(tokenizer, text, log_level=0, limits=LIMITS)
    except BaseException as panic:  # a panic in Rust is no Exception
        logger.exception("llguidance broke on a grammar")
        raise InvalidRequest(f"{param}: the schema cannot be compiled.", param) from panic
    if matcher.is_error():
        raise InvalidRequest(f"{param}: the schema cannot be enforced: {said(matcher)}", param)
    return Grammar(matcher, param)
