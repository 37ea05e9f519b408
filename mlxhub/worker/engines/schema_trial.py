"""A program of its own, standard library and llguidance only: tries whether JSON schemas can be compiled.

Standard input is a JSON list of schemas, each as llguidance takes it. Once it is ready it says so, then one
line of JSON for each: null, or what is wrong with it.
"""

import json
import sys
from typing import Any

from llguidance import LLMatcher, LLParserLimits, LLTokenizer

LIMITS = LLParserLimits(
    step_max_items=10_000,
    max_lexer_states=20_000,  # of 1 to 2 KB each, kept with the grammar
    precompute_large_lexemes=False,
    verbose_errors=False,  # they would tell the answer
)
# Far enough to be within an object within a list. Some schemas compile, and fail at the first step.
_STEPS = 48
_PREFERRED = b'{["'


def said(matcher: LLMatcher) -> str:
    """Its error, in one line."""
    text = " ".join(matcher.get_error().removesuffix("<non-verbose/>").split())
    if text == "NoExtensionBias":
        return "no value satisfies it"
    return "it refers to another document" if text.startswith("Resource '") else text[:300]


def fault_of(schema: Any) -> str | None:
    tokenizer = LLTokenizer("byte")
    lark = '%llguidance {"no_forcing": true}\nstart: @json'
    grammar = json.dumps({"grammars": [{"lark_grammar": lark}, {"name": "json", "json_schema": schema}]})
    matcher = LLMatcher(tokenizer, grammar, log_level=0, limits=LIMITS)
    for _ in range(_STEPS):
        if matcher.is_error():
            return said(matcher)
        if matcher.is_stopped():
            return None
        allowed = _bytes_in(matcher.compute_bitmask())
        if matcher.is_error():
            return said(matcher)
        if not allowed:
            return None if matcher.is_accepting() else "no value satisfies it"
        matcher.consume_token(next((byte for byte in _PREFERRED if byte in allowed), max(allowed)))
    return None


def _bytes_in(mask: bytes) -> set[int]:
    return {byte for byte in range(256) if mask[byte >> 3] >> (byte & 7) & 1}


def _main() -> None:
    schemas = json.load(sys.stdin)
    print("ready", flush=True)  # noqa: T201 - to whoever started it
    for schema in schemas:
        print(json.dumps(fault_of(schema)), flush=True)  # noqa: T201


if __name__ == "__main__":
    _main()
