"""Models that cannot decode several rows together: what they answer, in which order, and what they keep."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest

from mlxhub.core.constraint import JsonText
from mlxhub.demo import MODEL_REFERENCE as DEMO
from mlxhub.demo.golden import GOLDEN
from mlxhub.errors import LoadFailed
from mlxhub.refusals import InvalidRequest
from mlxhub.worker.engine_thread import EngineThread
from mlxhub.worker.engines.engine import (
    ChatPrompt,
    Finished,
    GenerationRequest,
    Piece,
    Prompt,
    SamplingOptions,
    Started,
    TextPrompt,
    TokenPrompt,
)
from mlxhub.worker.engines.prefill import Prefill
from mlxhub.worker.engines.text import TextEngine, TextEngineOptions
from tests.worker.processes import Worker, make_random_model, running_worker
from tests.worker.test_text_engine_prompts import RECURRENT, WINDOWS

GREEDY = SamplingOptions(temperature=0)
CHUNKED: dict[str, Any] = {
    "model_type": "llama4",
    "text_config": {
        "attention_bias": False,
        "attention_chunk_size": 48,
        "head_dim": 32,
        "hidden_size": 64,
        "interleave_moe_layer_step": 1,
        "intermediate_size": 64,
        "intermediate_size_mlp": 128,
        "max_position_embeddings": 8192,
        "model_type": "llama4_text",
        "num_attention_heads": 2,
        "num_experts_per_tok": 1,
        "num_hidden_layers": 4,
        "num_key_value_heads": 1,
        "num_local_experts": 2,
        "rms_norm_eps": 1e-5,
        "rope_scaling": None,
        "rope_theta": 10000.0,
        "use_qk_norm": False,
        "vocab_size": 640,
    },
}
Open = Callable[..., TextEngine]
# By sampling, length of the prompt and of the answer.
PlainAnswers = dict[tuple[str, int, int], str]


@pytest.fixture
def open_engine() -> Iterator[Open]:
    opened = []

    def open_one(path: str | Path, **options: Any) -> TextEngine:
        engine = TextEngine(TextEngineOptions("m", str(path), 4, Prefill(32, 32), **options))
        opened.append(engine)
        engine.load()
        return engine

    yield open_one
    for engine in opened:
        engine.unload()


@pytest.fixture(scope="module")
def chunked_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_random_model(tmp_path_factory.mktemp("models") / "chunked", **CHUNKED)


@pytest.fixture(scope="module")
def windows_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_random_model(tmp_path_factory.mktemp("models") / "windows", **WINDOWS)


@pytest.fixture(scope="module")
def plain_answers(random_model: Path) -> PlainAnswers:
    """What the model says when nobody guesses."""
    engine = TextEngine(TextEngineOptions("m", str(random_model), 4, Prefill(32, 32)))
    engine.load()
    try:
        return {
            (name, length, max_tokens): run(engine, tokens_of(length), sampling, max_tokens)[0]
            for name, sampling in SAMPLINGS.items()
            for length in (1, 7, 33, 70)
            for max_tokens in (1, 2, 5, 24)
        }
    finally:
        engine.unload()


def user(content: str) -> ChatPrompt:
    return ChatPrompt(({"role": "user", "content": content},))


def run(
    engine: TextEngine,
    prompt: Prompt,
    sampling: SamplingOptions = GREEDY,
    max_tokens: int = 40,
    constraint: JsonText | None = None,
) -> tuple[str, int]:
    """The text, and how much of the prompt was known."""
    wanted = GenerationRequest(prompt, sampling, max_tokens, constraint=constraint)
    engine.submit(0, engine.compile(engine.prepare(wanted)))
    text, cached = "", 0
    while engine.has_work:
        for delta in engine.step():
            match delta:
                case Started(_, known):
                    cached = known
                case Piece(_, said) | Finished(_, said):
                    text += said
    return text, cached


def tokens_of(count: int, first: int = 5) -> TokenPrompt:
    return TokenPrompt(tuple(first + n * n % 600 for n in range(count)))


@pytest.mark.parametrize(
    "options",
    [{"kv_bits": 8}, {"draft_model": DEMO}, {"kv_bits": 8, "draft_model": DEMO, "draft_tokens": 5}],
    ids=["kv_bits", "draft", "both"],
)
def test_the_demo_answers_as_it_was_taught(open_engine: Open, options: dict[str, Any]) -> None:
    engine = open_engine(DEMO, **options)
    for golden in GOLDEN:
        if isinstance(golden.expected, str):
            prompt = ChatPrompt(tuple(golden.messages), tuple(golden.tools))
            assert run(engine, prompt, max_tokens=800)[0] == golden.expected


SAMPLINGS = {
    "greedy": GREEDY,
    "penalties": SamplingOptions(temperature=0, presence_penalty=1.5, frequency_penalty=0.5),
    "bias": SamplingOptions(temperature=0, logit_bias={77: 4.0, 90: -100.0}),
}


@pytest.mark.parametrize("draft_tokens", [1, 3, 8])
@pytest.mark.parametrize("itself", [False, True], ids=["the demo's", "its own"])
def test_guesses_do_not_change_the_answer(
    open_engine: Open, random_model: Path, plain_answers: PlainAnswers, itself: bool, draft_tokens: int
) -> None:
    """Most guesses of the demo are wrong; a model's guesses of itself are right."""
    draft = str(random_model) if itself else DEMO
    drafted = open_engine(random_model, draft_model=draft, draft_tokens=draft_tokens)
    for (name, length, max_tokens), expected in plain_answers.items():
        assert run(drafted, tokens_of(length), SAMPLINGS[name], max_tokens)[0] == expected


def test_a_draft_of_fewer_tokens_bounds_what_may_be_asked_for(open_engine: Open, tmp_path: Path) -> None:
    """Models of one family pad their vocabularies differently; what is beyond has no weights in the draft."""
    padded = make_random_model(tmp_path / "padded", vocab_size=4096)
    engine = open_engine(padded, draft_model=DEMO)
    for asked in (
        GenerationRequest(TokenPrompt((5, 700, 7))),
        GenerationRequest(TokenPrompt((5, 7)), SamplingOptions(logit_bias={700: 1.0})),
    ):
        with pytest.raises(InvalidRequest, match="go from 0 to 639"):
            engine.prepare(asked)
    assert run(engine, tokens_of(40), SamplingOptions(temperature=2, seed=1, top_k=900), 60)[0]
    plain = open_engine(padded)
    assert run(plain, TokenPrompt((5, 700, 7)), max_tokens=3)


def test_a_seed_repeats_itself_with_guesses_too(open_engine: Open, random_model: Path) -> None:
    engine = open_engine(random_model, draft_model=DEMO)
    seeded = SamplingOptions(temperature=0.9, seed=4)
    first = run(engine, TextPrompt("hello"), seeded, 60)[0]
    assert run(engine, TextPrompt("hello"), seeded, 60)[0] == first
    assert run(engine, TextPrompt("hello"), SamplingOptions(temperature=0.9, seed=5), 60)[0] != first


def test_json_is_enforced_with_a_draft_model(open_engine: Open, random_model: Path) -> None:
    engine = open_engine(random_model, draft_model=DEMO)
    schema = '{"type":"object","properties":{"a":{"enum":[1,22,333]}},"required":["a"]}'
    for seed in range(5):
        wild = SamplingOptions(temperature=2, seed=seed)
        text, _ = run(engine, tokens_of(60), wild, 400, JsonText(schema))
        assert json.loads(text)["a"] in {1, 22, 333}


@pytest.mark.parametrize("options", [{"kv_bits": 8}, {"draft_model": DEMO}], ids=["kv_bits", "draft"])
def test_what_was_read_is_known_the_next_time(
    open_engine: Open, random_model: Path, options: dict[str, Any]
) -> None:
    engine, cold = open_engine(random_model, **options), open_engine(random_model, kept_prompts=0, **options)
    for length in (40, 100, 160):
        text, known = run(engine, tokens_of(length), max_tokens=20)
        assert text == run(cold, tokens_of(length), max_tokens=20)[0]
        assert known == {40: 0, 100: 40, 160: 100}[length]
    assert run(engine, tokens_of(160))[1] == 159


def test_who_left_leaves_what_both_models_read(open_engine: Open, random_model: Path) -> None:
    engine = open_engine(random_model, draft_model=DEMO)
    expected = run(engine, tokens_of(200), max_tokens=30)[0]
    engine.unload()
    engine.load()
    for steps in (2, 5, 9, 12):
        engine.submit(1, engine.prepare(GenerationRequest(tokens_of(200), GREEDY, 30)))
        for _ in range(steps):
            engine.step()
        engine.cancel(1)
        assert not engine.has_work
    text, known = run(engine, tokens_of(200), max_tokens=30)
    assert text == expected
    assert known >= 96


def test_chunked_attention_answers_alone_and_keeps_only_what_it_can(
    open_engine: Open, chunked_model: Path
) -> None:
    engine, cold = open_engine(chunked_model), open_engine(chunked_model, kept_prompts=0)
    for prompt in (user("one " * 30), user("one " * 30 + "two"), user("one " * 30), user("one " * 15)):
        assert run(engine, prompt, max_tokens=20)[0] == run(cold, prompt, max_tokens=20)[0]
    assert run(engine, user("one " * 30), max_tokens=20)[1] > 90


def test_models_are_told_what_they_cannot_do(
    open_engine: Open, windows_model: Path, random_model: Path, tmp_path: Path
) -> None:
    with pytest.raises(LoadFailed, match="kv_bits: this model cannot use it"):
        open_engine(windows_model, kv_bits=8)
    with pytest.raises(LoadFailed, match="draft_model: this model cannot take back"):
        open_engine(windows_model, draft_model=DEMO)
    with pytest.raises(LoadFailed, match="draft_model: the draft model cannot take back"):
        open_engine(random_model, draft_model=str(windows_model))
    with pytest.raises(LoadFailed, match=r"draft_model: its directory has no config\.json"):
        open_engine(random_model, draft_model=str(tmp_path))
    narrow = make_random_model(tmp_path / "narrow", head_dim=16)
    with pytest.raises(LoadFailed, match="kv_bits"):
        open_engine(narrow, kv_bits=4)
    other = make_random_model(tmp_path / "other")
    tokenizer = json.loads((other / "tokenizer.json").read_text())
    tokenizer["added_tokens"][-1]["content"] = "<another>"
    (other / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(LoadFailed, match="draft_model: its tokens are not those of the model"):
        open_engine(random_model, draft_model=str(other))


def test_a_load_that_is_refused_leaves_no_weights_behind(windows_model: Path, tmp_path: Path) -> None:
    large = make_random_model(tmp_path / "large", hidden_size=1024, intermediate_size=4096)
    engine = TextEngine(
        TextEngineOptions("m", str(large), 4, Prefill(32, 32), draft_model=str(windows_model))
    )
    thread = EngineThread(engine, "m", lambda _deltas: None, lambda _reason: None)
    thread.start()
    try:
        for _ in range(3):
            with pytest.raises(LoadFailed, match="draft_model"):
                thread.load().result(60)
        assert mx.get_active_memory() < 20_000_000
        assert mx.get_cache_memory() == 0
    finally:
        assert thread.stop(20)


def test_recurrent_models_that_take_padding_for_text_answer_alone(open_engine: Open, tmp_path: Path) -> None:
    engine = open_engine(make_random_model(tmp_path / "recurrent", **RECURRENT))
    engine.unload()
    loaded = engine.load()
    assert (loaded.max_rows, loaded.why_one_at_a_time) == (
        1,
        "this kind of model answers otherwise when prompts are padded in a batch",
    )


@pytest.fixture(scope="module")
def worker(random_model: Path) -> Iterator[Worker]:
    with running_worker(model_path=str(random_model), kv_bits=8, queue_size=8) as running:
        assert running.post("/load").status_code == 200
        yield running


def test_the_status_says_why_one_answers_at_a_time(worker: Worker) -> None:
    batch = worker.status().batch
    assert (batch.max_rows, batch.one_at_a_time) == (
        1,
        "kv_bits: prompts kept in fewer bits cannot be batched",
    )


def test_the_queue_counts_from_one(random_model: Path) -> None:
    with running_worker(model_path=str(random_model), kv_bits=8, queue_size=1) as small:
        assert small.post("/load").status_code == 200
        assert small.chat(n=2, max_tokens=1).status_code == 200
        refused = small.chat(n=3, max_tokens=1)
    assert refused.status_code == 400
    assert "takes and queues 2 at most" in refused.text


def test_requests_wait_for_each_other_and_all_are_answered(worker: Worker) -> None:
    with ThreadPoolExecutor() as clients:
        answers = list(
            clients.map(lambda length: worker.chat(max_tokens=length, temperature=0).json(), (30, 20, 10))
        )
    assert [answer["usage"]["completion_tokens"] for answer in answers] == [30, 20, 10]
    assert worker.status().batch.peak_rows == 1
