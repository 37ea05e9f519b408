"""The text engine on a real model, driven step by step."""

import gc
from collections.abc import Iterator
from pathlib import Path

import mlx.core as mx
import pytest

from mlxhub.errors import LoadFailed
from mlxhub.refusals import ContextOverflow, GenerationFailed, InvalidRequest
from mlxhub.worker.engines.engine import (
    ChatPrompt,
    Failed,
    Finished,
    FinishReason,
    GenerationRequest,
    Piece,
    SamplingOptions,
    Started,
    TextPrompt,
    TokenPrompt,
)
from mlxhub.worker.engines.prefill import Prefill
from mlxhub.worker.engines.text import TextEngine, TextEngineOptions

GREEDY = SamplingOptions(temperature=0)


def make_engine(model_path: str, rows: int = 8, prefill_step: int = 512) -> TextEngine:
    return TextEngine(TextEngineOptions("m", model_path, rows, Prefill(prefill_step, prefill_step)))


@pytest.fixture
def engine(random_model: Path) -> Iterator[TextEngine]:
    engine = make_engine(str(random_model))
    engine.load()
    yield engine
    engine.unload()


def request(
    text: str, sampling: SamplingOptions = GREEDY, max_tokens: int = 40, stops: tuple[str, ...] = ()
) -> GenerationRequest:
    return GenerationRequest(TextPrompt(text), sampling, max_tokens, stops)


def submit(engine: TextEngine, handle: int, wanted: GenerationRequest) -> None:
    engine.submit(handle, engine.prepare(wanted))


def run_out(engine: TextEngine) -> dict[int, tuple[str, Finished]]:
    """Step until nothing is left: text and end of each row."""
    texts: dict[int, str] = {}
    ends: dict[int, Finished] = {}
    while engine.has_work:
        for delta in engine.step():
            if isinstance(delta, Piece | Finished):
                texts[delta.handle] = texts.get(delta.handle, "") + delta.text
            if isinstance(delta, Finished):
                ends[delta.handle] = delta
    return {handle: (texts[handle], end) for handle, end in ends.items()}


def answer(engine: TextEngine, wanted: GenerationRequest) -> str:
    submit(engine, 0, wanted)
    return run_out(engine)[0][0]


@pytest.mark.parametrize(
    "sampling",
    [GREEDY, SamplingOptions(temperature=1.0, seed=11), SamplingOptions(temperature=0.9, top_p=0.9, seed=3)],
    ids=["greedy", "seeded", "seeded top_p"],
)
def test_eight_rows_answer_as_each_alone(engine: TextEngine, sampling: SamplingOptions) -> None:
    wanted = [request(f"prompt number {number} " * number, sampling) for number in range(1, 9)]
    alone = [answer(engine, one) for one in wanted]

    for handle, one in enumerate(wanted):
        submit(engine, handle, one)
    together = run_out(engine)

    assert [together[handle][0] for handle in range(8)] == alone
    assert len(set(alone)) >= 4


def test_rows_that_come_at_once_say_their_first_word_at_once(engine: TextEngine) -> None:
    for handle in range(4):
        submit(engine, handle, request(f"prompt number {handle}"))
    first: dict[int, int] = {}
    for step in range(8):
        for delta in engine.step():
            if isinstance(delta, Piece):
                first.setdefault(delta.handle, step)
    assert len(first) == 4
    assert len(set(first.values())) == 1


def test_a_seed_decides_the_answer(engine: TextEngine) -> None:
    first = answer(engine, request("x", SamplingOptions(temperature=1, seed=1)))
    again = answer(engine, request("x", SamplingOptions(temperature=1, seed=1)))
    other = answer(engine, request("x", SamplingOptions(temperature=1, seed=2)))
    assert first == again != other


def test_max_tokens_is_exact(engine: TextEngine) -> None:
    submit(engine, 5, request("hello", max_tokens=7))
    _, end = run_out(engine)[5]
    assert (end.reason, end.completion_tokens) == (FinishReason.LENGTH, 7)


def test_a_stop_ends_the_row_across_token_borders(engine: TextEngine) -> None:
    free = answer(engine, request("hello", SamplingOptions(temperature=1, seed=5)))
    stop = free[10:17]
    submit(engine, 1, request("hello", SamplingOptions(temperature=1, seed=5), stops=("never", stop)))
    text, end = run_out(engine)[1]
    assert text == free[: free.index(stop)]
    assert end.reason is FinishReason.STOP
    assert engine.measured.rows == 0


def test_a_stop_that_does_not_come_holds_nothing_back_for_ever(engine: TextEngine) -> None:
    free = answer(engine, request("hello"))
    assert answer(engine, request("hello", stops=(free[-3:] + "never",))) == free


def test_cancelling_frees_the_row_in_every_stage(random_model: Path) -> None:
    engine = make_engine(str(random_model), rows=2, prefill_step=64)
    engine.load()
    for handle in range(3):
        submit(engine, handle, request("a" * 400, max_tokens=1000))
    engine.step()
    assert engine.measured.rows == 2, "the third waits"

    engine.cancel(2)  # queued
    engine.cancel(0)  # in prefill
    assert engine.measured.rows == 1
    engine.step()
    assert not any(delta.handle in (0, 2) for _ in range(3) for delta in engine.step())
    while not any(isinstance(delta, Piece) for delta in engine.step()):
        pass
    engine.cancel(1)  # decoding
    assert not engine.has_work
    engine.cancel(1)
    engine.cancel(99)
    assert answer(engine, request("b", max_tokens=3))
    engine.unload()


@pytest.mark.parametrize(("running", "most_steps"), [(1, 4), (2, 3)], ids=["beside one", "beside two"])
def test_a_newcomer_is_told_at_once_and_decodes_a_few_steps_later(
    engine: TextEngine, running: int, most_steps: int
) -> None:
    for handle in range(running):
        submit(engine, handle, request("one", max_tokens=200))
    for _ in range(10):
        engine.step()
    submit(engine, 9, request("two", max_tokens=200))
    assert engine.step() == [Started(9)]
    said: list[set[int]] = []
    while not said or 9 not in said[-1]:
        said.append({delta.handle for delta in engine.step()})
    assert len(said) <= most_steps
    assert all(set(range(running)) <= told for told in said), "the others go on at each step"
    for handle in (*range(running), 9):
        engine.cancel(handle)


def test_one_joins_just_as_the_other_leaves(engine: TextEngine) -> None:
    expected = answer(engine, request("two", max_tokens=20))
    for steps in range(8):
        submit(engine, 0, request("one", max_tokens=200))
        for _ in range(steps):
            engine.step()
        submit(engine, 1, request("two", max_tokens=20))
        submit(engine, 2, request("two", max_tokens=20))
        engine.step()
        engine.cancel(0)
        assert {text for text, _ in run_out(engine).values()} == {expected}


def test_a_short_prompt_overtakes_a_long_one(random_model: Path) -> None:
    engine = make_engine(str(random_model), prefill_step=32)
    engine.load()
    submit(engine, 0, request("long " * 700, max_tokens=5))
    engine.step()
    submit(engine, 1, request("short", max_tokens=2))
    first = None
    while first is None:
        first = next((delta.handle for delta in engine.step() if isinstance(delta, Finished)), None)
    assert first == 1
    engine.unload()


def test_an_exception_in_a_step_fails_its_batch_and_nothing_else(
    engine: TextEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(engine, 0, request("a", max_tokens=100))
    submit(engine, 1, request("b", max_tokens=100))
    engine.step()
    broken = engine._decoding
    assert broken is not None
    monkeypatch.setattr(broken, "next", lambda _chunk: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        engine.step()
    error = GenerationFailed("x")
    assert engine.fail_all(error) == [Failed(0, error), Failed(1, error)]
    assert answer(engine, request("c", max_tokens=3))


def test_a_request_that_cannot_begin_fails_alone(engine: TextEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    submit(engine, 0, request("a", max_tokens=5))
    engine.step()
    with monkeypatch.context() as patched:
        patched.setattr(engine._read, "find", lambda _tokens: 1 / 0)
        submit(engine, 1, request("b", max_tokens=5))
        (failed,) = engine.step()
    assert isinstance(failed, Failed)
    assert failed.handle == 1
    assert run_out(engine)[0][1].completion_tokens == 5


def test_penalties_and_biases_change_the_answer(engine: TextEngine) -> None:
    plain = answer(engine, request("hello", max_tokens=20))
    penalised = SamplingOptions(temperature=0, presence_penalty=2)
    fresh = answer(engine, request("hello", penalised, max_tokens=20))
    forced = answer(
        engine, request("hello", SamplingOptions(temperature=0, logit_bias={77: 100.0}), max_tokens=4)
    )
    assert plain != fresh
    assert forced == answer(
        engine, request("x", SamplingOptions(temperature=0, logit_bias={77: 100.0}), max_tokens=4)
    )


@pytest.mark.parametrize("sampling", [SamplingOptions(top_k=10**6), SamplingOptions(top_k=5, min_p=1.0)])
def test_extreme_sampling_is_taken(engine: TextEngine, sampling: SamplingOptions) -> None:
    submit(engine, 0, request("hello", sampling, max_tokens=5))
    assert run_out(engine)[0][1].completion_tokens == 5


def test_prompts_that_cannot_be_answered_are_refused_before_the_batch(engine: TextEngine) -> None:
    with pytest.raises(ContextOverflow) as overflow:
        engine.prepare(GenerationRequest(TokenPrompt((5,) * 8192)))
    assert (overflow.value.prompt_tokens, overflow.value.context_length) == (8192, 8192)
    with pytest.raises(InvalidRequest, match="empty"):
        engine.prepare(GenerationRequest(TokenPrompt(())))
    with pytest.raises(InvalidRequest, match="0 to 639"):
        engine.prepare(GenerationRequest(TokenPrompt((640,))))
    with pytest.raises(InvalidRequest) as bias:
        engine.prepare(GenerationRequest(TextPrompt("a"), SamplingOptions(logit_bias={640: 1.0})))
    assert bias.value.param == "logit_bias"
    assert engine.prepare(GenerationRequest(TokenPrompt((5,) * 8191))).max_tokens == 1


def test_what_a_template_refuses_is_the_clients_fault(engine: TextEngine) -> None:
    with pytest.raises(InvalidRequest, match="template") as refused:
        engine.prepare(GenerationRequest(ChatPrompt(({"role": 1, "content": "x"},))))
    assert refused.value.param == "messages"


def damage(directory: Path, source: Path, kind: str) -> None:
    import shutil

    shutil.copytree(source, directory)
    weights = directory / "model.safetensors"
    match kind:
        case "cut":
            weights.write_bytes(weights.read_bytes()[:-1000])
        case "noise":
            weights.write_bytes(b"not a safetensors file at all, but long enough to have a header")
        case "empty":
            weights.write_bytes(b"")
        case "gone":
            weights.unlink()
        case "no config":
            (directory / "config.json").unlink()
        case "config":
            (directory / "config.json").write_text("{")
        case "type":
            (directory / "config.json").write_text('{"model_type": "no_such_model"}')
        case "tokenizer":
            (directory / "tokenizer.json").write_text("{}")


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("cut", "is damaged"),
        ("noise", "is damaged"),
        ("empty", "is damaged"),
        ("gone", "has no model"),
        ("no config", "no config.json"),
        ("config", "cannot be read"),
    ],
)
def test_a_damaged_model_is_refused_with_a_reason(
    tmp_path: Path, random_model: Path, kind: str, reason: str
) -> None:
    damage(tmp_path / "damaged", random_model, kind)
    with pytest.raises(LoadFailed, match=reason):
        make_engine(str(tmp_path / "damaged")).load()


def test_a_model_that_is_nowhere_names_the_command_that_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LoadFailed, match="mlxhub models pull mlx-community/absent"):
        make_engine("mlx-community/absent").load()
    with pytest.raises(LoadFailed, match="is not a directory"):
        make_engine("/nowhere/at/all").load()
    with pytest.raises(LoadFailed, match="neither"):
        make_engine("a b/c/d").load()


def test_unloading_gives_the_memory_back(random_model: Path) -> None:
    gc.collect()
    before = mx.get_active_memory()
    engine = make_engine(str(random_model))
    engine.load()
    submit(engine, 0, request("a"))
    engine.step()
    assert engine.measured.active_bytes > before + 100_000
    engine.unload()
    assert not engine.has_work
    assert mx.get_active_memory() < before + 10_000
    engine.unload()
