"""The echo engine by itself: what it says, at which times, and what it counts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxhub.errors import LoadFailed, NotLoaded
from mlxhub.refusals import ContextOverflow, GenerationFailed, InvalidRequest
from mlxhub.worker.engines.echo import EchoEngine, EchoEngineOptions
from mlxhub.worker.engines.engine import (
    ChatPrompt,
    Delta,
    Failed,
    Finished,
    FinishReason,
    GenerationRequest,
    Piece,
    Started,
    TextPrompt,
    TokenPrompt,
)


class Time:
    """Passes when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def make_engine(script: str = "", time: Time | None = None, **options: Any) -> EchoEngine:
    time = time or Time()
    return EchoEngine(EchoEngineOptions("m", f"echo: {script}", 4, **options), time, time.sleep)


def loaded(script: str = "", time: Time | None = None, **options: Any) -> EchoEngine:
    engine = make_engine(script, time, **options)
    engine.load()
    return engine


def user(text: str, *before: Mapping[str, str]) -> ChatPrompt:
    return ChatPrompt((*before, {"role": "user", "content": text}))


def all_deltas(engine: EchoEngine) -> list[Delta]:
    deltas: list[Delta] = []
    while engine.has_work:
        deltas += engine.step()
    return deltas


def pieces(engine: EchoEngine, prompt: Any, **options: Any) -> list[str]:
    """What is said, token by token."""
    engine.submit(1, engine.prepare(GenerationRequest(prompt, **options)))
    return [delta.text for delta in all_deltas(engine) if isinstance(delta, Piece | Finished)]


def ending(engine: EchoEngine, prompt: Any, **options: Any) -> Finished:
    engine.submit(1, engine.prepare(GenerationRequest(prompt, **options)))
    last = all_deltas(engine)[-1]
    assert isinstance(last, Finished)
    return last


def test_a_token_is_a_word_with_its_space() -> None:
    assert pieces(loaded(), user("to be  or\nnot ")) == ["to", " be", "  or", "\nnot", " ", ""]


def test_the_last_users_message_is_said_whoever_spoke_before_and_after() -> None:
    prompt = ChatPrompt(
        (
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "first"},
            {"role": "assistant", "content": "first"},
            {"role": "user", "content": "the second"},
            {"role": "assistant", "content": "so far"},
        )
    )
    assert "".join(pieces(loaded(), prompt)) == "the second"


def test_a_prompt_that_is_no_chat_is_said_as_a_whole() -> None:
    engine = loaded()
    assert "".join(pieces(engine, TextPrompt("to be"))) == "to be"
    tokens = engine.prepare(GenerationRequest(TextPrompt("to be"))).tokens
    assert "".join(pieces(engine, TokenPrompt(tokens))) == "to be"


@given(st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from(["", "bad_utf8"]))
def test_any_text_comes_back_as_it_was(text: str, script: str) -> None:
    assert "".join(pieces(loaded(script), user(text))) == text


def test_tokens_that_split_characters_say_only_whole_ones() -> None:
    assert pieces(loaded("bad_utf8"), user("aé😀")) == ["aé", "", "😀", ""]


def test_an_answer_is_counted_with_its_end_and_cut_at_its_limit() -> None:
    engine = loaded()
    assert ending(engine, user("a b c")) == Finished(1, "", FinishReason.STOP, 4)
    assert ending(engine, user("a b c"), max_tokens=2) == Finished(1, " b", FinishReason.LENGTH, 2)
    assert ending(engine, user("")) == Finished(1, "", FinishReason.STOP, 1)


def test_a_stop_ends_the_answer_and_is_no_part_of_it() -> None:
    engine = loaded()
    assert pieces(engine, user("one two three"), stops=("wo t",)) == ["one", " t", ""]
    assert ending(engine, user("one two three"), stops=("wo t",)).stop == "wo t"


def test_an_echo_is_certain_of_its_tokens() -> None:
    engine = loaded()
    engine.submit(1, engine.prepare(GenerationRequest(user("hi"), top_logprobs=1)))
    told = [each for delta in all_deltas(engine) if isinstance(delta, Piece) for each in delta.logprobs]
    assert [(each.sampled.text_bytes, each.sampled.logprob, len(each.top)) for each in told] == [
        (b"hi", 0, 1)
    ]


def test_time_passes_as_the_script_says() -> None:
    time = Time()
    engine = loaded("load 3, prefill 2, token 0.5", time)
    assert time.now == pytest.approx(1003)
    pieces(engine, user("a b"))
    assert time.now == pytest.approx(1003 + 2 + 3 * 0.5)


def test_rows_are_answered_together_up_to_the_limit() -> None:
    time = Time()
    engine = loaded("token 1", time)
    for handle in range(5):
        engine.submit(handle, engine.prepare(GenerationRequest(user("a"))))
    assert engine.step() == [Started(handle) for handle in range(4)]
    assert engine.measured.rows == 4
    all_deltas(engine)
    assert time.now == pytest.approx(1004, abs=0.1)
    assert (engine.measured.rows, engine.measured.peak_rows) == (0, 4)


def test_what_is_cancelled_is_spoken_of_no_more() -> None:
    engine = loaded("token 1")
    for handle in (1, 2):
        engine.submit(handle, engine.prepare(GenerationRequest(user("a"))))
    engine.cancel(2)
    engine.step()
    engine.cancel(1)
    assert not engine.has_work


def test_after_a_step_that_raised_the_rows_have_failed_and_others_can_come() -> None:
    engine = loaded("oom once")
    engine.submit(1, engine.prepare(GenerationRequest(user("a"))))
    engine.step()
    with pytest.raises(MemoryError):
        all_deltas(engine)
    broken = GenerationFailed("x")
    assert engine.fail_all(broken) == [Failed(1, broken)]
    assert "".join(pieces(engine, user("again"))) == "again"


def test_what_an_engine_refuses_is_refused() -> None:
    with pytest.raises(NotLoaded):
        make_engine().prepare(GenerationRequest(user("a")))
    engine = loaded(context_length=4)
    with pytest.raises(ContextOverflow, match="it has 5"):
        engine.prepare(GenerationRequest(user("a b c d")))
    with pytest.raises(InvalidRequest, match="empty"):
        engine.prepare(GenerationRequest(TextPrompt("")))
    prepared = engine.prepare(GenerationRequest(user("a b"), max_tokens=9))
    assert prepared.max_tokens == 1, "no more than the context holds"
    with pytest.raises(InvalidRequest, match="format"):
        engine.compile(prepared)


def test_the_memory_it_tells_is_what_it_holds() -> None:
    engine = make_engine("weights 3MB, leak 2MB")
    assert engine.measured.active_bytes == 0
    engine.load()
    assert engine.measured.active_bytes == 5_000_000
    engine.unload()
    assert engine.measured.active_bytes == 2_000_000
    engine.load()
    engine.unload()
    assert engine.measured.active_bytes == 4_000_000
    assert engine.measured.peak_bytes == 7_000_000


def test_a_load_that_is_to_fail_fails_and_leaves_nothing() -> None:
    engine = make_engine("weights 3MB, fail_load once")
    with pytest.raises(LoadFailed, match="its script says so"):
        engine.load()
    engine.unload()
    assert engine.measured.active_bytes == 0
    engine.load()


def test_a_script_with_a_fault_of_its_own_is_a_load_that_failed() -> None:
    with pytest.raises(LoadFailed, match='model_path: "abrt" is no clause'):
        make_engine("abrt").load()


def test_a_fault_with_a_word_meets_only_prompts_that_have_it() -> None:
    engine = loaded("oom at 2 if poison")
    assert "".join(pieces(engine, user("all is well"))) == "all is well"
    engine.submit(1, engine.prepare(GenerationRequest(user("well", {"role": "system", "content": "poison"}))))
    engine.step()
    assert engine.step() == [Piece(1, "well")]
    with pytest.raises(MemoryError):
        engine.step()


def test_once_with_a_file_outlives_the_process(tmp_path: Path) -> None:
    script = f"fail_load once {tmp_path / 'it happened'}"
    with pytest.raises(LoadFailed):
        make_engine(script).load()
    make_engine(script).load()
