"""More models than may be in memory, asked through the hub: who waits, who makes room, who is refused."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import httpx
import openai
import pytest

from mlxhub.cli.local_hub import find_machine
from mlxhub.core.paths import Paths
from mlxhub.fleet.holdings import look_at_holdings
from tests.eventually import eventually
from tests.stories.conftest import LiveHub
from tests.stories.test_chat import says

ECHO = "echo: load 0.1, rate 200, weights 20MB"
RESERVED_BYTES = 270_000_000  # its weights, and a process


def echo(name: str, more: str = "") -> str:
    return f"{{name: {name}, model_type: echo, model_path: '{ECHO}'{more}}}"


@pytest.fixture
def testing_hub(hub: LiveHub) -> Iterator[LiveHub]:
    testing = replace(hub, testing=True)
    yield testing
    testing.remove()


def ask(hub: LiveHub, model: str, text: str = "hello") -> str:
    with hub.client() as client:
        answer = client.chat.completions.create(model=model, messages=says(text))
    return str(answer.choices[0].message.content)


def refusal(hub: LiveHub, model: str) -> openai.APIStatusError:
    with pytest.raises(openai.APIStatusError) as refused:
        ask(hub, model)
    return refused.value


def loaded(hub: LiveHub) -> set[str]:
    return {model["name"] for model in hub.json("status")["models"] if model["memory"] == "ready"}


@contextmanager
def most_held_together(paths: Paths, names: set[str]) -> Iterator[list[int]]:
    """How many of these held a place at once, by the kernel's locks, at each of many looks."""
    seen: list[int] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.005):
            holders = {holder.name for holder in look_at_holdings(paths).holders}
            seen.append(len(holders & names))

    watching = threading.Thread(target=look)
    watching.start()
    try:
        yield seen
    finally:
        over.set()
        watching.join()


def test_in_a_group_that_takes_turns_everybody_is_answered_and_in_one_that_does_not_some_are_refused(
    testing_hub: LiveHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = testing_hub
    turns, firm = (f", group: {name}" for name in ("turns", "firm"))
    hub.write(
        *(echo(name, turns) for name in "abc"),
        *(echo(name, firm) for name in ("first", "second")),
        groups="[{name: turns, max_loaded: 1, idle_unload_trigger_min: 0}, {name: firm, max_loaded: 1}]",
    )
    hub.ok("install")
    monkeypatch.setenv("MLXHUB_HOME", str(hub.home))
    paths = find_machine(None).paths

    assert ask(hub, "first") == "hello"
    refused = refusal(hub, "second")
    assert (refused.status_code, refused.code) == (429, "group_capacity_exceeded")
    assert 'of its group "firm" at most 1 may be in memory, and there is: first.' in refused.message
    assert int(refused.response.headers["retry-after"]) >= 1

    wanted = [("abc"[number % 3], f"this is number {number}") for number in range(100)]
    with most_held_together(paths, {*"abc"}) as seen, ThreadPoolExecutor(100) as clients:
        answers = list(clients.map(lambda asked: ask(hub, *asked), wanted))
    assert answers == [text for _, text in wanted]
    assert max(seen) == 1
    assert "first" in loaded(hub)

    hub.ok("unload-model", "first")
    assert ask(hub, "second") == "hello"


def test_where_memory_is_short_the_one_that_was_used_longest_ago_makes_room_and_a_pinned_one_never_does(
    testing_hub: LiveHub,
) -> None:
    hub = testing_hub
    names = ("old", "new", "third")
    limit = f"{2 * RESERVED_BYTES // 10**6 + 1}MB"
    hub.write(*map(echo, names), memory_limit=limit)
    hub.ok("install")
    pids = {model["name"]: model["pid"] for model in hub.json("status")["models"]}
    for name in names[:2]:
        assert ask(hub, name) == "hello"
    assert ask(hub, "third") == "hello"
    assert loaded(hub) == {"new", "third"}

    hub.write(*(echo(name, ", pinned: true") for name in names), memory_limit=limit)
    hub.ok("reload")
    refused = refusal(hub, "old")
    assert (refused.status_code, refused.code) == (503, "insufficient_memory")
    assert "new 270 MB" in refused.message
    assert "third 270 MB" in refused.message
    assert loaded(hub) == {"new", "third"}
    assert {model["name"]: model["pid"] for model in hub.json("status")["models"]} == pids

    # What nobody uses any more makes room by itself, or by somebody's hand.
    hub.ok("unload-model", "new")
    assert ask(hub, "old") == "hello"


def test_one_that_is_answering_is_not_unloaded_for_another(testing_hub: LiveHub) -> None:
    hub = testing_hub
    slow = "{name: slow, model_type: echo, model_path: 'echo: token 0.2', group: g}"
    hub.write(
        slow, echo("quick", ", group: g"), groups="[{name: g, max_loaded: 1, idle_unload_trigger_min: 0}]"
    )
    hub.ok("install")
    said: list[str] = []
    began = threading.Event()

    def listen() -> None:
        with hub.client() as client:
            for chunk in client.chat.completions.create(
                model="slow", messages=says("one two three four five six"), stream=True
            ):
                said.append(chunk.choices[0].delta.content or "")
                began.set()

    with ThreadPoolExecutor(2) as clients:
        listening = clients.submit(listen)
        assert began.wait(30)
        assert ask(hub, "quick") == "hello"
        listening.result(30)
    assert "".join(said) == "one two three four five six"
    eventually(lambda: loaded(hub) == {"quick"})
    assert httpx.get(f"{hub.url}/readyz").status_code == 200
