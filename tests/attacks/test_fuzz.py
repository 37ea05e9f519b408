"""100,000 mutated requests harm nobody: no 5xx, no death, no growth, and good ones are served as before.

MLXHUB_FUZZ_REQUESTS=1000000 MLXHUB_FUZZ_SEED=7 .venv/bin/python -m pytest tests/attacks/test_fuzz.py -s
"""

import asyncio
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvloop

from tests.attacks.conftest import memory_of, own_pid, places_of
from tests.attacks.fuzzing import Report, fuzz, shares
from tests.attacks.mutated_requests import Mutations, good_requests
from tests.attacks.place import CHAT, COMPLETIONS, Place
from tests.stories.conftest import LiveHub, make_hub

REQUESTS = int(os.environ.get("MLXHUB_FUZZ_REQUESTS", "20000"))
SEED = int(os.environ.get("MLXHUB_FUZZ_SEED", "1"))
LANES = 12
GROWTH_BYTES = 50_000_000
GOOD_REQUESTS = 100
# Answers are a token or two, whatever is asked for; and nothing is turned away because others wait.
DEMO = "{name: demo, model_path: 'builtin:demo', max_tokens: 1, context_length: 160, queue_size: 1000}"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LiveHub]:
    hub = make_hub(tmp_path)
    hub.write(DEMO)
    hub.ok("install")
    yield hub
    hub.remove()


@pytest.mark.timeout(180 + REQUESTS / 200)
def test_mutated_requests_harm_nobody(hub: LiveHub) -> None:
    places = places_of(hub, keys_required=False)
    answers = [good_answers(place) for place in places]
    pids = [own_pid(place) for place in places]
    for place in places:
        attack([place], 1000, SEED + 1)
    before = [memory_of(pid) for pid in pids]

    begun = time.monotonic()
    report = attack(places, REQUESTS, SEED)
    seconds = time.monotonic() - begun

    grown = [memory_of(pid) - were for pid, were in zip(pids, before, strict=True)]
    told = f"{report.requests} requests in {seconds:.0f} s, statuses {dict(sorted(report.statuses.items()))}"
    print(f"\n{told}, {report.ended} connections ended, grown {[round(each / 1e6) for each in grown]} MB")
    assert report.faults[:5] == []
    assert report.requests == REQUESTS
    assert [own_pid(place) for place in places] == pids
    assert errors_logged(hub) == []
    assert max(grown) <= GROWTH_BYTES
    assert [good_answers(place) for place in places] == answers


def attack(places: list[Place], count: int, seed: int) -> Report:
    """Half of it to each place, over some connections at once."""
    report = Report()

    async def all_lanes() -> None:
        lanes = len(places) * LANES
        async with asyncio.TaskGroup() as tasks:
            for lane, share in enumerate(shares(count, lanes)):
                place = places[lane % len(places)]
                mutations = Mutations(good_requests(place), random.Random(f"{seed}/{lane}"))
                tasks.create_task(fuzz(place.port, mutations, share, report))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(all_lanes())
    return report


def good_answers(place: Place) -> list[Any]:
    """What does not differ from time to time in the answers to good requests."""
    said = {"model": "demo", "temperature": 0, "messages": [{"role": "user", "content": "ping"}]}
    bodies = {CHAT: said, COMPLETIONS: {"model": "demo", "temperature": 0, "prompt": "ping"}}
    answers = []
    with httpx.Client(base_url=f"http://{place.host}", timeout=60) as http:
        for number in range(GOOD_REQUESTS):
            path = (CHAT, COMPLETIONS, "/v1/models")[number % 3]
            response = http.post(path, json=bodies[path]) if path in bodies else http.get(path)
            assert response.status_code == 200, response.text
            answer = response.json()
            models = [model["id"] for model in answer.get("data", ())]
            answers.append([models, *(answer.get(part) for part in ("object", "model", "choices", "usage"))])
    return answers


def errors_logged(hub: LiveHub) -> list[str]:
    """What a person would be told to look at."""
    logs = (file.read_text(errors="replace") for file in (hub.home / "logs").rglob("*.log"))
    return [line for log in logs for line in log.splitlines() if " ERROR " in line[:50]]
