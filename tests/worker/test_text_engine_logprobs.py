"""How likely each token was, as the text engine tells it."""

import math
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from mlx_lm.tokenizer_utils import SPMStreamingDetokenizer

from mlxhub.protocol.parts import SampledLogprob
from mlxhub.worker.engines.engine import (
    Finished,
    GenerationRequest,
    Piece,
    SamplingOptions,
    TextPrompt,
)
from mlxhub.worker.engines.prefill import Prefill
from mlxhub.worker.engines.text import TextEngine, TextEngineOptions
from mlxhub.worker.engines.token_bytes import TokenBytes

GREEDY = SamplingOptions(temperature=0)


@pytest.fixture(scope="module")
def engine(random_model: Path) -> Iterator[TextEngine]:
    engine = TextEngine(TextEngineOptions("m", str(random_model), 4, Prefill(64, 64)))
    engine.load()
    yield engine
    engine.unload()


def answers(engine: TextEngine, *requests: GenerationRequest) -> list[tuple[str, list[SampledLogprob]]]:
    for handle, request in enumerate(requests):
        engine.submit(handle, engine.prepare(request))
    texts = [""] * len(requests)
    told: list[list[SampledLogprob]] = [[] for _ in requests]
    while engine.has_work:
        for delta in engine.step():
            if isinstance(delta, Piece | Finished):
                texts[delta.handle] += delta.text
                told[delta.handle] += delta.logprobs
    return list(zip(texts, told, strict=True))


def ask(
    top: int | None, sampling: SamplingOptions = GREEDY, stops: tuple[str, ...] = ()
) -> GenerationRequest:
    return GenerationRequest(TextPrompt("hello"), sampling, 24, stops, top)


def text_of(told: list[SampledLogprob]) -> str:
    return b"".join(each.sampled.text_bytes for each in told).decode(errors="replace")


def test_each_token_is_told_with_the_likeliest_and_those_who_did_not_ask_get_none(engine: TextEngine) -> None:
    (text, told), (plain, none) = answers(engine, ask(3), ask(None))
    assert (plain, none) == (text, [])
    assert len(told) == 24
    assert text_of(told) == text
    for each in told:
        assert each.top[0] == each.sampled
        values = [one.logprob for one in each.top]
        assert len(values) == 3
        assert values == sorted(values, reverse=True)
        assert sum(map(math.exp, values)) <= 1.0001


def test_all_of_them_together_are_certain(engine: TextEngine) -> None:
    (_, told), (_, single) = answers(engine, ask(640), ask(0))
    for each in told:
        assert sum(math.exp(one.logprob) for one in each.top) == pytest.approx(1, abs=1e-4)
    assert [each.sampled for each in single] == [each.sampled for each in told]
    assert {each.top for each in single} == {()}


def test_what_a_bias_forbids_is_told_without_infinities(engine: TextEngine) -> None:
    sampling = SamplingOptions(temperature=0, logit_bias={7: -100.0})
    ((_, told),) = answers(engine, ask(640, sampling))
    assert all(math.isfinite(one.logprob) for each in told for one in each.top)


def test_tokens_of_a_stop_are_not_told(engine: TextEngine) -> None:
    sampling = SamplingOptions(temperature=1, seed=5)
    ((free, _),) = answers(engine, ask(0, sampling))
    stop = free[10:14]
    ((text, told),) = answers(engine, ask(0, sampling, (stop,)))
    assert text == free[: free.index(stop)]
    assert text.startswith(text_of(told))
    assert len(text_of(told)) > len(text) - 8


def test_bytes_of_sentencepiece_tokens() -> None:
    spelled = ["<unk>", "▁the", "re", "<0xF0>", "<0x0A>"]

    class Tokenizer:
        def __len__(self) -> int:
            return len(spelled)

        def convert_ids_to_tokens(self, ids: int | list[int]) -> object:
            if isinstance(ids, list):
                return [spelled[each] for each in ids]
            return spelled[ids] if ids < len(spelled) else None

    tokenizer = Tokenizer()
    wrapped = SimpleNamespace(
        detokenizer=SPMStreamingDetokenizer(tokenizer), convert_ids_to_tokens=tokenizer.convert_ids_to_tokens
    )
    found = [TokenBytes(wrapped)(token) for token in range(6)]
    assert found == [b"<unk>", b" the", b"re", b"\xf0", b"\n", b""]
