"""How likely tokens were, in OpenAI's shapes."""

from collections.abc import Sequence
from typing import Any

from mlxhub.protocol.parts import SampledLogprob, TokenLogprob


def chat_logprobs(logprobs: Sequence[SampledLogprob]) -> dict[str, Any]:
    """Of tokens in the order of the answer."""
    return {"content": response_logprobs(logprobs), "refusal": None}


def response_logprobs(logprobs: Sequence[SampledLogprob]) -> list[dict[str, Any]]:
    """The same as a response has it."""
    return [{**_token(each.sampled), "top_logprobs": [_token(one) for one in each.top]} for each in logprobs]


def text_logprobs(logprobs: Sequence[SampledLogprob], offset: int) -> dict[str, Any]:
    """Of tokens in the order of the text; `offset`: its characters before them."""
    offsets = []
    for each in logprobs:
        offsets.append(offset)
        offset += len(_text(each.sampled))
    return {
        "tokens": [_text(each.sampled) for each in logprobs],
        "token_logprobs": [each.sampled.logprob for each in logprobs],
        "top_logprobs": [{_text(one): one.logprob for one in reversed(each.top)} for each in logprobs],
        "text_offset": offsets,
    }


def _token(token: TokenLogprob) -> dict[str, Any]:
    return {"token": _text(token), "logprob": token.logprob, "bytes": list(token.text_bytes)}


def _text(token: TokenLogprob) -> str:
    return token.text_bytes.decode(errors="replace")
