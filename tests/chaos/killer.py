"""kill -9, and what must be so after it."""

import os
import random
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

from mlxhub.core.restarts import DEATHS_TO_PARK
from mlxhub.fleet.holdings import look_at_holdings
from tests.chaos.exchanges import CONTROLLER, Death
from tests.chaos.place import SUPERVISOR, Place
from tests.eventually import eventually

# The stand-in's throttle between two starts, a start, and what a busy machine adds.
BACK_SECONDS = 20.0
GONE_SECONDS = 10.0
KINDS = 5
_LONGEST_PAUSE_SECONDS = 1.5
_LOOK_SECONDS = 0.05


def victims(rounds: int, models: tuple[str, ...], chance: random.Random) -> Iterator[tuple[str, ...]]:
    """Of each round. All kinds in the first five, in any order.

    Later the supervisor's turn comes seldom: the start that brings it back forgives all deaths, and some have
    to die too often.
    """
    for number in range(rounds):
        if number % KINDS == 0:
            rare = SUPERVISOR if number % (4 * KINDS) == 0 else "model"
            kinds = ["model", "model", CONTROLLER, "both", rare]
            chance.shuffle(kinds)
        match kinds[number % KINDS]:
            case "model":
                yield (chance.choice(models),)
            case "both":
                yield CONTROLLER, chance.choice(models)
            case kind:
                yield (kind,)


class Killer:
    """`deaths`: of all that was killed, also because its supervisor was. `parked`: how often that was due.

    `back_seconds`: until each served again, by whom it was killed with: the supervisor, or itself.
    """

    def __init__(self, place: Place, chance: random.Random) -> None:
        self.deaths: list[Death] = []
        self.back_seconds: defaultdict[str, list[float]] = defaultdict(list)
        self.parked = 0
        self._place = place
        self._chance = chance
        self._unforgiven: Counter[str] = Counter()

    def round(self, victims: tuple[str, ...]) -> None:
        """Kills them at some moment, and returns when everything is as it was before."""
        time.sleep(self._chance.uniform(0, _LONGEST_PAUSE_SECONDS))
        before = self._place.census()
        dead = self._place.programs if SUPERVISOR in victims else victims
        begun = len(self.deaths)
        now = time.monotonic()
        self.deaths += [Death(program, now) for program in dead]
        self._unforgiven.update(dead)
        for victim in victims:
            for pid in before[victim]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if SUPERVISOR in victims:
            eventually(lambda: not self._place.hub.processes(), GONE_SECONDS)
            self._place.hub.ok("start")
            self._unforgiven.clear()
        self._await_back(begun, before, SUPERVISOR if SUPERVISOR in victims else None)
        after = self._place.census()
        alive = after.keys() - {*dead, *victims}
        assert all(after[each] == before[each] for each in alive), "somebody else was restarted"
        eventually(lambda: not self._place.strays(), GONE_SECONDS)
        eventually(self._are_seats_true, GONE_SECONDS)

    def _await_back(self, begun: int, before: dict[str, frozenset[int]], cause: str | None) -> None:
        """All that died since then, with another pid than before."""
        waiting = dict(enumerate(self.deaths[begun:], begun))
        deadline = time.monotonic() + BACK_SECONDS
        while waiting:
            for place, death in list(waiting.items()):
                pid = self._place.serving_pid(death.program)
                if pid is not None and pid not in before[death.program]:
                    back = self.deaths[place] = replace(death, back_at=time.monotonic())
                    assert back.back_at is not None
                    self.back_seconds[cause or death.program].append(back.back_at - back.at)
                    del waiting[place]
                elif self._is_parked(death.program):
                    self._forgive(death.program)
                    deadline = time.monotonic() + BACK_SECONDS
            assert time.monotonic() < deadline, f"these do not come back: {waiting}"
            time.sleep(_LOOK_SECONDS)

    def _is_parked(self, program: str) -> bool:
        """And a person could start it again: for a model that takes a controller."""
        if not self._place.paths.run_files(program).parked.exists():
            return False
        return program == CONTROLLER or self._place.serving_pid(CONTROLLER) is not None

    def _forgive(self, program: str) -> None:
        """It was due, and a person starts it again."""
        assert self._unforgiven[program] >= DEATHS_TO_PARK, f"{program} stays down after {self._unforgiven}"
        del self._unforgiven[program]
        self.parked += 1
        eventually(lambda: not self._place.census()[program], GONE_SECONDS)
        self._place.hub.ok(*(("start",) if program == CONTROLLER else ("start-model", program)))

    def _are_seats_true(self) -> bool:
        """Who has a place in memory by the kernel's locks is who says so: the dead have none."""
        holders = {holder.name for holder in look_at_holdings(self._place.paths).holders}
        workers = {name: self._place.worker(name) for name in self._place.ports}
        return holders == {name for name, worker in workers.items() if worker and worker.reservation.has_seat}
