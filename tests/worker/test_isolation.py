"""No request sees anything of another: whoever comes and goes, each gets the answer that it gets alone."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlxhub.worker.engines.engine import (
    Finished,
    GenerationRequest,
    Piece,
    PreparedRequest,
    SamplingOptions,
    TextPrompt,
)
from mlxhub.worker.engines.prefill import Prefill
from mlxhub.worker.engines.text import TextEngine, TextEngineOptions
from tests.conftest import SEED

ANSWER_TOKENS = 6
SHARED = "All of these begin with the same long words, which are read once and kept for others. "


@pytest.fixture(scope="module")
def engine(random_model: Path) -> Iterator[TextEngine]:
    engine = TextEngine(TextEngineOptions("m", str(random_model), 33, Prefill(64, 64), kept_prompts=6))
    engine.load()
    yield engine
    engine.unload()


def prepare(engine: TextEngine, text: str, sampling: SamplingOptions, tokens: int) -> PreparedRequest:
    return engine.prepare(GenerationRequest(TextPrompt(text), sampling, tokens))


def pool(engine: TextEngine) -> list[PreparedRequest]:
    """Of several lengths, some with a beginning in common, greedy and seeded."""
    made = []
    for number in range(24):
        beginning = SHARED if number % 3 == 0 else f"{number} is mine. " * (1 + number % 5)
        sampling = (
            SamplingOptions(temperature=0) if number % 2 else SamplingOptions(temperature=1, seed=number)
        )
        made.append(prepare(engine, f"{beginning}The secret is {number * 7919}.", sampling, ANSWER_TOKENS))
    return made


def play(
    engine: TextEngine, arrivals: list[tuple[int, PreparedRequest]], leave: dict[int, int]
) -> dict[int, str]:
    """Step number and request of each; `leave`: when whose client goes. The texts of those who stayed."""
    texts = dict.fromkeys(range(len(arrivals)), "")
    over: set[int] = set()
    step = 0
    while engine.has_work or step <= max(at for at, _ in arrivals):
        for handle, (at, request) in enumerate(arrivals):
            if at == step:
                engine.submit(handle, request)
        for handle in [handle for handle, at in leave.items() if at == step]:
            engine.cancel(handle)
        for delta in engine.step():
            if isinstance(delta, Piece | Finished):
                assert delta.handle not in over
                assert leave.get(delta.handle, step + 1) > step
                texts[delta.handle] += delta.text
            if isinstance(delta, Finished):
                over.add(delta.handle)
        step += 1
    assert over | leave.keys() == set(texts)
    return {handle: texts[handle] for handle in over}


def test_in_all_interleavings_everybody_gets_its_own_answer(
    engine: TextEngine, pytestconfig: pytest.Config
) -> None:
    requests = pool(engine)
    alone = [play(engine, [(0, request)], {})[0] for request in requests]
    assert len(set(alone)) > 12
    draw = random.Random(int(SEED))
    for _ in range(pytestconfig.getoption("--interleavings")):
        chosen = [draw.randrange(len(requests)) for _ in range(draw.randint(2, 4))]
        arrivals = [(draw.randint(0, 8), requests[which]) for which in chosen]
        leave = {0: arrivals[0][0] + draw.randint(1, 5)} if draw.random() < 0.3 else {}
        for handle, text in play(engine, arrivals, leave).items():
            assert text == alone[chosen[handle]], (chosen, [at for at, _ in arrivals], leave)


@pytest.mark.parametrize(
    "sampling",
    [SamplingOptions(temperature=0), SamplingOptions(temperature=1, seed=4)],
    ids=["greedy", "seed"],
)
def test_among_thirty_two_others_as_alone(engine: TextEngine, sampling: SamplingOptions) -> None:
    mine = prepare(engine, "What is mine stays mine.", sampling, 24)
    alone = play(engine, [(0, mine)], {})[0]
    others = [
        prepare(engine, f"Number {number} speaks. " * (1 + number % 4), SamplingOptions(temperature=1), 24)
        for number in range(32)
    ]
    arrivals = [(0, other) for other in others]
    arrivals.insert(17, (3, mine))
    assert play(engine, arrivals, {})[17] == alone
