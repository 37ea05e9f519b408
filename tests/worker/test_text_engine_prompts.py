"""What the text engine keeps of prompts, on real models: it answers like one that keeps nothing."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mlxhub.worker.engines.engine import (
    ChatPrompt,
    Finished,
    GenerationRequest,
    Piece,
    PreparedRequest,
    Prompt,
    SamplingOptions,
    Started,
    TokenPrompt,
)
from mlxhub.worker.engines.prefill import Prefill
from mlxhub.worker.engines.text import TextEngine, TextEngineOptions
from tests.worker.processes import make_random_model

GREEDY = SamplingOptions(temperature=0)
WINDOWS: dict[str, Any] = {
    "model_type": "gemma3_text",
    "num_key_value_heads": 1,
    "head_dim": 32,
    "query_pre_attn_scalar": 32,
    "sliding_window": 48,
    "sliding_window_pattern": 2,
}
RECURRENT: dict[str, Any] = {
    "model_type": "mamba",
    "intermediate_size": 64,
    "state_size": 8,
    "conv_kernel": 4,
    "use_bias": False,
    "use_conv_bias": True,
    "time_step_rank": 4,
    "tie_word_embeddings": True,
}
MODELS: dict[str, dict[str, Any]] = {"attention": {}, "windows": WINDOWS, "recurrent": RECURRENT}
Open = Callable[..., TextEngine]


@pytest.fixture(scope="module", params=MODELS)
def model_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    directory = tmp_path_factory.mktemp("models") / request.param
    return str(make_random_model(directory, **MODELS[request.param]))


@pytest.fixture
def open_engine() -> Iterator[Open]:
    opened = []

    def open_one(path: str, rows: int = 4, **limits: int) -> TextEngine:
        engine = TextEngine(TextEngineOptions("m", path, rows, Prefill(32, 32), **limits))
        engine.load()
        opened.append(engine)
        return engine

    yield open_one
    for engine in opened:
        engine.unload()


def turns(*contents: str) -> ChatPrompt:
    roles = ["system", *["user", "assistant"] * len(contents)]
    return ChatPrompt(
        tuple({"role": role, "content": said} for role, said in zip(roles, contents, strict=False))
    )


def tokens_of(count: int, first: int = 5) -> TokenPrompt:
    return TokenPrompt(tuple(first + n * n % 600 for n in range(count)))


def run(engine: TextEngine, *prompts: Prompt, max_tokens: int = 12) -> list[tuple[str, int]]:
    """Together: the text of each, and how much of its prompt was known."""
    prepared = [engine.prepare(GenerationRequest(prompt, GREEDY, max_tokens)) for prompt in prompts]
    return run_prepared(engine, prepared)


def run_prepared(engine: TextEngine, prepared: list[PreparedRequest]) -> list[tuple[str, int]]:
    for handle, request in enumerate(prepared):
        engine.submit(handle, request)
    texts, cached = [""] * len(prepared), [0] * len(prepared)
    while engine.has_work:
        for delta in engine.step():
            match delta:
                case Started(handle, known):
                    cached[handle] = known
                case Piece(handle, text) | Finished(handle, text):
                    texts[handle] += text
    return list(zip(texts, cached, strict=True))


LONG = "You know everything about the rivers of the world and answer in a few words. " * 2


def test_the_next_turn_reads_only_what_is_new(model_path: str, open_engine: Open) -> None:
    engine, cold = open_engine(model_path), open_engine(model_path, kept_prompts=0)
    first = turns(LONG, "Which is the longest?")
    second = turns(LONG, "Which is the longest?", "The Nile.", "And the widest?")
    assert run(engine, first)[0] == run(cold, first)[0]
    length = len(engine.prepare(GenerationRequest(first, GREEDY)).tokens)
    (text, known), (expected, none) = run(engine, second)[0], run(cold, second)[0]
    assert (text, none) == (expected, 0)
    assert length - 16 <= known < length + 4


def test_another_conversation_with_the_same_beginning_reads_only_its_own_part(
    model_path: str, open_engine: Open
) -> None:
    engine, cold = open_engine(model_path), open_engine(model_path, kept_prompts=0)
    run(engine, turns(LONG, "Which is the longest?"))
    other = turns(LONG, "Name one in Asia, and nothing else.")
    (text, known), (expected, _) = run(engine, other)[0], run(cold, other)[0]
    assert text == expected
    assert known > 40


@pytest.mark.parametrize("count", [33, 34, 64, 65, 200])
def test_the_same_prompt_again_and_again_gets_the_same_answer(
    model_path: str, open_engine: Open, count: int
) -> None:
    engine = open_engine(model_path)
    prompt = tokens_of(count)
    (first, _), *again = [run(engine, prompt)[0] for _ in range(4)]
    assert [text for text, _ in again] == [first] * 3


def test_a_prompt_that_was_answered_before_is_known_but_for_its_last_token(
    model_path: str, open_engine: Open
) -> None:
    engine = open_engine(model_path)
    prompt = turns(LONG, "Which?")
    length = len(engine.prepare(GenerationRequest(prompt, GREEDY)).tokens)
    run(engine, prompt)
    assert run(engine, prompt)[0][1] == length - 1


def test_rows_that_begin_with_the_same_thing_do_not_touch_it(model_path: str, open_engine: Open) -> None:
    """Also not for those that come after them, and whatever their neighbours read."""
    engine, cold = open_engine(model_path), open_engine(model_path, kept_prompts=0)
    run(engine, turns(LONG, "Which is the longest?"))
    prompts = [turns(LONG, f"Tell me of number {number}." * number) for number in range(1, 4)]
    expected = [text for prompt in prompts for text, _ in run(cold, prompt)]
    for _ in range(3):
        assert [text for text, _ in run(engine, *prompts)] == expected
    assert [text for text, _ in run(engine, *reversed(prompts))] == expected[::-1]


def test_who_left_in_the_middle_of_its_prompt_need_not_begin_anew(model_path: str, open_engine: Open) -> None:
    engine, cold = open_engine(model_path), open_engine(model_path, kept_prompts=0)
    prompt = tokens_of(300)
    engine.submit(0, engine.prepare(GenerationRequest(prompt, GREEDY, 12)))
    for _ in range(5):
        engine.step()
    engine.cancel(0)
    (text, known) = run(engine, prompt)[0]
    assert text == run(cold, prompt)[0][0]
    assert 96 <= known <= 192


def test_what_is_kept_stays_within_its_bounds_and_goes_with_the_model(
    model_path: str, open_engine: Open
) -> None:
    engine = open_engine(model_path, kept_prompts=3)
    for first in range(6):
        run(engine, tokens_of(50, first))
    assert engine.measured.kept_prompts == 3
    one = engine.measured.kept_bytes // 3
    assert one > 1000
    small = open_engine(model_path, kept_bytes=2 * one + one // 2)
    for first in range(6):
        run(small, tokens_of(50, first))
        assert small.measured.kept_bytes <= 2 * one + one // 2
    assert small.measured.kept_prompts > 0
    engine.unload()
    assert (engine.measured.kept_prompts, engine.measured.kept_bytes) == (0, 0)


def test_short_prompts_are_not_kept(model_path: str, open_engine: Open) -> None:
    engine = open_engine(model_path)
    run(engine, tokens_of(10), max_tokens=4)
    assert engine.measured.kept_prompts == 0
