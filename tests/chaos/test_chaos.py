"""Whatever is killed, and whenever: everybody is told the truth, and everything comes back."""

import random
from collections import Counter
from collections.abc import Sequence

import pytest

from tests.chaos.background import going_on
from tests.chaos.clients import PATIENCE_SECONDS, Clients
from tests.chaos.exchanges import Death, Exchange, fault_of
from tests.chaos.killer import Killer, victims
from tests.chaos.oracle import Oracle
from tests.chaos.place import SUPERVISOR, Place
from tests.conftest import SEED
from tests.stories.test_chat import says


@pytest.mark.timeout(7200)
def test_whoever_is_killed_nobody_is_told_anything_wrong_and_all_come_back(
    place: Place, request: pytest.FixtureRequest
) -> None:
    rounds: int = request.config.getoption("--chaos-rounds")
    chance = random.Random(int(SEED))
    killer = Killer(place, chance)
    killed: Counter[str] = Counter()
    oracle, clients = Oracle(place), Clients(place.hub.port, place.ports, chance.randrange(10**9))
    with (
        going_on(oracle.watch_until, ends_within=60),
        going_on(clients.ask_until, ends_within=2 * PATIENCE_SECONDS),
    ):
        for each in victims(rounds, tuple(place.ports), chance):
            judged = len(clients.history)
            killer.round(each)
            killed.update(each)
            assert faults_of(clients.history[judged:], killer.deaths) == []
            assert oracle.wrong == []
    print(report(killer, oracle, clients.history, killed))
    assert faults_of(clients.history, killer.deaths) == []
    assert oracle.wrong == []
    assert killed[SUPERVISOR] >= rounds // 20
    assert {name: answer_of(place, name) for name in place.ports} == {
        name: f"{name} at last" for name in place.ports
    }
    assert "Nothing to do" in place.hub.ok("plan")
    place.hub.ok("uninstall")
    assert place.hub.processes() == []


def faults_of(history: Sequence[Exchange], deaths: Sequence[Death]) -> list[tuple[str, Exchange]]:
    return [(fault, each) for each in history if (fault := fault_of(each, deaths))]


def answer_of(place: Place, model: str) -> str:
    with place.hub.client() as client:
        answer = client.chat.completions.create(model=model, messages=says(f"{model} at last"))
    return str(answer.choices[0].message.content)


def report(killer: Killer, oracle: Oracle, history: list[Exchange], killed: Counter[str]) -> str:
    ends = Counter(
        "right" if each.is_right else each.error or f"lost through the {each.way}" for each in history
    )
    back = {name: f"{max(seconds):.1f} s" for name, seconds in killer.back_seconds.items()}
    return (
        f"killed {dict(killed)}, parked {killer.parked}; {len(history)} requests: {dict(ends)}; "
        f"longest {max(each.ended - each.began for each in history):.1f} s; longest until back {back}; "
        f"{oracle.comparisons} looks at the status, the slowest {oracle.slowest_seconds:.2f} s"
    )
