"""What other models hold keeps this one out of memory, for as long as they hold it and no longer."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlxhub.core.lifecycle import ModelState
from mlxhub.core.limits import GroupLimit, Holder, HubLimits, ModelLimit
from mlxhub.core.memory import PROCESS_BYTES
from mlxhub.errors import GroupFull, InsufficientMemory, LimitsUnreadable, LoadFailed, LoadNotBegun
from mlxhub.files.ledger import Entry, Ledger
from mlxhub.files.limits import write_limits
from mlxhub.worker.app import build_app
from mlxhub.worker.model_service import ModelService
from tests.eventually import eventually
from tests.worker.fake_engine import FakeEngine
from tests.worker.test_model_service import Clock, Story, begin, play, say, until

GROUP = HubLimits(
    memory_bytes=PROCESS_BYTES + 2_000_000,
    groups=(GroupLimit("g", 1, None),),
    models={"m": ModelLimit("g", None, pinned=False), "other": ModelLimit("g", None, pinned=False)},
)


class Place:
    """A hub's directory, and another model of it."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "limits.json"
        self.ledger = Ledger(directory / "locks")
        self.settings: dict[str, Any] = {
            "limits": {"file": str(self.file), "locks": str(directory / "locks")}
        }

    def allow(self, limits: HubLimits) -> None:
        write_limits(self.file, limits)

    def enter(self, name: str, size: int = 0) -> Entry:
        entry = self.ledger.take(name, _let)
        entry.reserve(size, _let)
        return entry

    def play(self, story: Story, clock: Clock | None = None, **settings: Any) -> None:
        play(story, clock, **self.settings, **settings)
        assert [holder.name for holder in self.ledger.holders()] == []


def _let(_others: Sequence[Holder]) -> None:
    """Everybody may."""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    place.allow(GROUP)
    return place


def test_a_full_group_refuses_and_the_next_request_after_it_is_served(place: Place) -> None:
    async def story(service: ModelService, engine: FakeEngine) -> None:
        other = place.enter("other")
        for attempt in (say(service), service.load()):
            with pytest.raises(GroupFull, match="there is: other"):
                await attempt
        assert (service.state, service.residency.error, engine.loads) == (ModelState.UNLOADED, None, 0)
        other.give_back()
        assert await say(service) == 1
        assert service.residency.admission.has_seat

    place.play(story)


def test_memory_is_reserved_from_before_the_load_until_after_the_unload(place: Place) -> None:
    reserved = PROCESS_BYTES + 1_000_000

    async def story(service: ModelService, engine: FakeEngine) -> None:
        engine.may_load.clear()
        loading = begin(service.load())
        await until(lambda: engine.loads == 1)
        assert place.ledger.holders() == (Holder("m", reserved),)
        assert place.ledger.try_turnstile() is None
        engine.may_load.set()
        await loading
        assert service.residency.admission.reserved_bytes == reserved
        assert place.ledger.holders() == (Holder("m", reserved),)
        turn = place.ledger.try_turnstile()
        assert turn is not None, "a loaded model keeps nobody from loading"
        os.close(turn)
        await service.unload(if_idle=False)
        assert place.ledger.holders() == ()
        assert service.residency.admission.reserved_bytes == 0

    place.play(story)


def test_too_little_memory_refuses_and_leaves_what_others_hold(place: Place) -> None:
    place.allow(HubLimits(PROCESS_BYTES + 2_000_000, (), {}))

    async def story(service: ModelService, engine: FakeEngine) -> None:
        other = place.enter("other", 1_000_001)
        with pytest.raises(InsufficientMemory, match=r"held by: other 1 MB\). Unload another") as short:
            await say(service)
        assert (short.value.needed_bytes, short.value.free_bytes) == (PROCESS_BYTES + 10**6, 250_999_999)
        assert (service.state, service.residency.error, engine.loads) == (ModelState.UNLOADED, None, 0)
        assert place.ledger.holders() == (Holder("other", 1_000_001),)
        other.give_back()
        assert await say(service) == 1

    place.play(story)


def test_what_hub_yaml_says_of_a_model_is_reserved_instead(place: Place) -> None:
    place.allow(HubLimits(500, (), {"m": ModelLimit(None, 500, pinned=False)}))

    async def story(service: ModelService, _engine: FakeEngine) -> None:
        await service.load()
        assert place.ledger.holders() == (Holder("m", 500),)

    place.play(story)


def test_new_limits_hold_from_the_next_load_on(place: Place) -> None:
    async def story(service: ModelService, _engine: FakeEngine) -> None:
        other = place.enter("other")
        with pytest.raises(GroupFull):
            await service.load()
        place.allow(HubLimits(None, (GroupLimit("g", 2, None),), GROUP.models))
        await service.load()
        place.allow(GROUP)
        assert await say(service) == 1, "who is in memory is not thrown out"
        await service.unload(if_idle=False)
        with pytest.raises(GroupFull):
            await service.load()
        other.give_back()

    place.play(story)


def test_without_a_file_nothing_is_limited_and_all_is_told(place: Place) -> None:
    place.file.unlink()

    async def story(service: ModelService, _engine: FakeEngine) -> None:
        other = place.enter("other", 10**15)
        await service.load()
        assert place.ledger.holders() == (Holder("m", PROCESS_BYTES + 10**6), Holder("other", 10**15))
        other.give_back()

    place.play(story)


def test_damaged_limits_are_no_permission_and_tell_no_path(place: Place) -> None:
    place.file.write_text("{}")

    async def story(service: ModelService, engine: FakeEngine) -> None:
        with pytest.raises(LimitsUnreadable, match="mlxhub reload") as unreadable:
            await say(service)
        assert str(place.file.parent) not in str(unreadable.value)
        assert (service.residency.error, engine.loads) == (None, 0)
        place.allow(GROUP)
        assert await say(service) == 1

    place.play(story)


def test_a_load_that_fails_gives_everything_back(place: Place) -> None:
    async def story(service: ModelService, engine: FakeEngine) -> None:
        engine.load_error = "no weights"
        with pytest.raises(LoadFailed):
            await service.load()
        assert place.ledger.holders() == ()
        turn = place.ledger.try_turnstile()
        assert turn is not None
        os.close(turn)

    place.play(story)


def test_one_model_loads_at_a_time_and_who_waits_is_seen_and_answers(place: Place) -> None:
    async def story(service: ModelService, engine: FakeEngine) -> None:
        turn = place.ledger.try_turnstile()
        assert turn is not None
        asking = begin(say(service))
        await until(lambda: service.residency.admission.is_waiting)
        assert (service.state, engine.loads) == (ModelState.LOADING, 0)
        assert service.thread.working_at is None
        os.close(turn)
        assert await asking == 1
        assert not service.residency.admission.is_waiting

    place.play(story)


def test_a_load_that_waits_for_its_turn_can_be_given_up(place: Place) -> None:
    async def story(service: ModelService, engine: FakeEngine) -> None:
        turn = place.ledger.try_turnstile()
        assert turn is not None
        asking = begin(say(service))
        await until(lambda: service.residency.admission.is_waiting)
        await service.unload(if_idle=False)
        with pytest.raises(LoadNotBegun, match="unloaded before its turn"):
            await asking
        assert (service.state, service.residency.error, engine.loads) == (ModelState.UNLOADED, None, 0)
        assert place.ledger.holders() == ()
        os.close(turn)
        assert await say(service) == 1

    place.play(story)


def test_a_load_that_still_measures_can_be_given_up(place: Place) -> None:
    async def story(service: ModelService, engine: FakeEngine) -> None:
        engine.may_measure.clear()
        loading = begin(service.load())
        await until(lambda: service.residency.admission.has_seat)
        unloading = begin(service.unload(if_idle=True))
        await asyncio.sleep(0)
        engine.may_measure.set()
        await unloading
        with pytest.raises(LoadNotBegun, match="unloaded before its turn"):
            await loading
        assert engine.loads == 0

    place.play(story)


def test_a_turn_that_does_not_come_is_waited_for_ten_minutes(place: Place) -> None:
    clock = Clock()

    async def story(service: ModelService, _engine: FakeEngine) -> None:
        turn = place.ledger.try_turnstile()
        assert turn is not None
        loading = begin(service.load())
        await until(lambda: service.residency.admission.is_waiting)
        clock.now += 601
        with pytest.raises(LoadNotBegun, match="for over 600 s"):
            await loading
        os.close(turn)

    place.play(story, clock)


def test_a_worker_ends_though_its_turn_has_not_come(place: Place) -> None:
    held = []

    async def story(service: ModelService, _engine: FakeEngine) -> None:
        held.append(place.ledger.try_turnstile())
        begin(say(service))
        await until(lambda: service.residency.admission.is_waiting)
        service.begin_drain()
        service.end_rest()
        await until(lambda: service.is_idle)

    place.play(story)
    assert held[0] is not None
    os.close(held[0])


FORKING = """
import asyncio, os, sys, time
from mlxhub.core.config import LimitPlaces
from mlxhub.core.memory import MemoryNeed
from mlxhub.worker.admission import Admission
async def load():
    admission = Admission("m", LimitPlaces(file=sys.argv[1], locks=sys.argv[2]))
    await admission.take_seat()
    async with admission.turn(MemoryNeed(1, 0, 1, 1, 0)):
        if child := os.fork():
            print(child, flush=True)
        time.sleep(60)
asyncio.run(load())
"""


def test_a_child_that_is_only_forked_holds_nothing_of_it(place: Place, tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", FORKING, str(place.file), str(tmp_path / "locks")]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    assert [holder.name for holder in place.ledger.holders()] == ["m"]
    assert place.ledger.try_turnstile() is None
    process.kill()
    process.wait(10)
    process.stdout.close()
    os.kill(child, 0)
    eventually(lambda: place.ledger.holders() == ())
    turn = eventually(place.ledger.try_turnstile)
    assert turn is not None
    os.close(turn)
    os.kill(child, 9)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/v1/chat/completions", ("code", "group_capacity_exceeded")),
        ("/v1/completions", ("code", "group_capacity_exceeded")),
        ("/v1/responses", ("code", "group_capacity_exceeded")),
        ("/v1/messages", ("type", "rate_limit_error")),
        ("/load", ("code", "group_capacity_exceeded")),
    ],
)
def test_every_api_says_it_in_its_own_way(
    place: Place, path: str, code: tuple[str, str], stream: bool
) -> None:
    body = {
        "model": "m",
        "stream": stream,
        "max_tokens": 3,
        "messages": [{"role": "user", "content": "x"}],
    }
    sent = body | {"/v1/completions": {"prompt": "x"}, "/v1/responses": {"input": "x"}}.get(path, {})
    if path == "/v1/responses":
        sent = {"model": "m", "input": "x", "stream": stream}

    async def story(service: ModelService, _engine: FakeEngine) -> None:
        other = place.enter("other")
        transport = httpx.ASGITransport(build_app(service, "g"))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:1") as client:
            response = await client.post(path, json=sent)
        assert response.status_code == 429
        assert response.headers["retry-after"] == "2"
        key, value = code
        assert response.json()["error"][key] == value
        assert "there is: other" in response.json()["error"]["message"]
        other.give_back()

    place.play(story)
